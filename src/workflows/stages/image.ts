import type { ImageSource } from '../../activities/image.js';
import type { Activities } from '../../activities/index.js';
import type { Change } from '../../hosts/items.js';
import { planImage, type ImagePlan } from '../../node/image/plan.js';
import { patient } from '../../temporal/options.js';
import { inParallel } from '../parallel.js';
import { growingActivities } from '../growing.js';
import type { Deployment, Stage } from './stage.js';

const { buildImage, deliverImage, observeImage, pullImage } = growingActivities<Activities>(patient);

export const image = {
  name: 'image',
  title: 'Distribute the node image to every host',
  skip: ({ nodes }) =>
    nodes.containerizer === 'mesos' ? 'nodes run as processes, so there is no image to build' : undefined,
  async run(deployment) {
    const { spec } = deployment;
    const observation = await observeImage.executeWithOptions({ summary: 'find the image' }, [{ spec }]);
    const plan = planImage(observation);
    switch (plan.kind) {
      case 'nothing':
        return [];
      case 'pull':
        return onEach(deployment, plan.to, observation.reference, (host) =>
          pullImage.executeWithOptions({ summary: `pull it on ${host}` }, [{ spec, host }]),
        );
      case 'copy':
      case 'build': {
        const source = await sourceOf(deployment, plan, observation.reference);
        return onEach(deployment, plan.to, observation.reference, (host) =>
          deliverImage.executeWithOptions({ summary: `copy it to ${host}` }, [{ spec, host, source }]),
        );
      }
    }
  },
} as const satisfies Stage;

async function sourceOf(
  deployment: Deployment,
  plan: Extract<ImagePlan, { kind: 'build' | 'copy' }>,
  reference: string,
): Promise<ImageSource> {
  if (plan.kind === 'copy') return { kind: 'host', host: plan.from };
  const [host = ''] = plan.to;
  deployment.note(`building ${reference}, which takes several minutes`);
  return buildImage.executeWithOptions({ summary: 'build it' }, [{ spec: deployment.spec, host }]);
}

/** All hosts concurrently. */
async function onEach(
  deployment: Deployment,
  hosts: readonly string[],
  reference: string,
  bring: (host: string) => Promise<readonly Change[]>,
): Promise<readonly Change[]> {
  let left = hosts;
  const report = () => deployment.note(`copying ${reference} to ${left.join(', ')}`);
  report();
  const changes = await inParallel(hosts, async (host) => {
    const made = await bring(host);
    left = left.filter((each) => each !== host);
    if (left.length > 0) report();
    return made;
  });
  return changes.flat();
}
