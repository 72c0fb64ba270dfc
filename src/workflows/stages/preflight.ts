import { patched, proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../../activities/index.js';
import { withHostKeys } from '../../cluster/host-keys.js';
import type { ClusterSpec } from '../../cluster/spec.js';
import type { LeavingHost } from '../../deployment/leaving.js';
import { preflightProblems } from '../../deployment/preflight.js';
import { briefly, patient, quick } from '../../temporal/options.js';
import { failureOfProblems } from '../failure.js';
import { inParallel } from '../parallel.js';
import { neighbourDirs, specForHost } from '../../deployment/hosts-to-converge.js';
import { growingActivities } from '../growing.js';
import { reachingLeaver } from './removal.js';
import type { Stage } from './stage.js';

const { checkIdentity, surveyHost } = growingActivities<Activities>(patient);
const { checkNoTeardown, findLeaving } = growingActivities<Activities>(quick);
// Given up soon: the deployment goes on without what they observe.
const { observeLeaving } = proxyActivities<Activities>(briefly);

/** One observation of each host shows its state, its problems, and all changes of the later stages. */
export const preflight = {
  name: 'preflight',
  title: 'Check the hosts',
  async run(deployment) {
    const { seen } = deployment;
    let { spec } = deployment;
    await checkNoTeardown.executeWithOptions({ summary: 'no teardown runs' }, [{ cluster: spec.name }]);
    if (patched('identity')) {
      const summary = 'hosts and name are not of another cluster';
      deployment.checked = await checkIdentity.executeWithOptions({ summary }, [
        { spec, ...(seen && { seen }) },
      ]);
      spec = withHostKeys(spec, deployment.checked.hostKeys ?? {});
      deployment.spec = spec;
    }
    if (patched('hosts-that-leave')) deployment.leaving = await leavingHosts(spec);
    deployment.surveys = await inParallel(spec.hosts, (host) =>
      surveyHost.executeWithOptions({ summary: `survey ${host.name}` }, [
        {
          ...{ spec: specForHost(deployment.whole, host), host: host.name },
          dirs: neighbourDirs(deployment.whole, host),
        },
      ]),
    );
    const problems = [
      ...deployment.surveys.flatMap((survey) => survey.problems ?? []),
      ...preflightProblems(
        spec,
        deployment.surveys.map((survey) => survey.facts),
        Object.fromEntries(
          deployment.surveys.map(({ host, packages }) => [
            host,
            { packages, directories: [], files: [], services: [] },
          ]),
        ),
      ),
    ];
    const [first] = problems;
    if (first !== undefined) throw failureOfProblems(first, problems);
    return [];
  },
  proof: ({ hosts }, { checked }) => {
    const found = `no problems found on ${hosts.map(({ name }) => name).join(', ')}`;
    const { firstSeen = [] } = checked ?? {};
    return firstSeen.length === 0 ? found : `${found}; keys trusted at first sight: ${firstSeen.join(', ')}`;
  },
} as const satisfies Stage;

/** One that does not respond ends the deployment before anything is changed: it may still run services. */
async function leavingHosts(spec: ClusterSpec): Promise<readonly LeavingHost[]> {
  const hosts = await findLeaving.executeWithOptions({ summary: 'hosts that leave the cluster' }, [{ spec }]);
  return await inParallel(hosts, (host) =>
    reachingLeaver(host, () =>
      observeLeaving.executeWithOptions({ summary: `observe ${host.name}, which leaves` }, [{ spec, host }]),
    ),
  );
}
