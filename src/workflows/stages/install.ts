import { executeChild } from '@temporalio/workflow';
import { workflowIds, workflowNames } from '../../temporal/contract.js';
import { clusterAttribute } from '../../temporal/start-options.js';
import type { host as hostWorkflow } from '../host.js';
import { inParallel } from '../parallel.js';
import { specForHost } from '../../deployment/hosts-to-converge.js';
import type { Stage } from './stage.js';

export const install = {
  name: 'install',
  title: 'Install packages and programs',
  async run(deployment) {
    const { spec } = deployment;
    const changes = await inParallel(deployment.pending('install'), (host) =>
      executeChild<typeof hostWorkflow>(workflowNames.host, {
        workflowId: workflowIds.host(spec.name, host.name),
        args: [{ spec: specForHost(spec, host), host: host.name }],
        staticSummary: `Install ${host.name} of ${spec.name}`,
        typedSearchAttributes: clusterAttribute(spec.name),
      }),
    );
    return changes.flat();
  },
} as const satisfies Stage;
