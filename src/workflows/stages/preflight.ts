import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../../activities/index.js';
import { preflightProblems } from '../../deployment/preflight.js';
import { patient, quick } from '../../temporal/options.js';
import { failureOfProblems } from '../failure.js';
import { inParallel } from '../parallel.js';
import { specForHost } from '../../deployment/hosts-to-converge.js';
import type { Stage } from './stage.js';

const { surveyHost } = proxyActivities<Activities>(patient);
const { checkNoTeardown } = proxyActivities<Activities>(quick);

/** One observation of each host shows its state, its problems, and all changes of the later stages. */
export const preflight = {
  name: 'preflight',
  title: 'Check the hosts',
  async run(deployment) {
    const { spec } = deployment;
    await checkNoTeardown.executeWithOptions({ summary: 'no teardown runs' }, [{ cluster: spec.name }]);
    deployment.surveys = await inParallel(spec.hosts, (host) =>
      surveyHost.executeWithOptions({ summary: `survey ${host.name}` }, [
        { spec: specForHost(spec, host), host: host.name },
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
  proof: ({ hosts }) => `no problems found on ${hosts.map(({ name }) => name).join(', ')}`,
} as const satisfies Stage;
