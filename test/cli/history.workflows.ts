/** The real framework, and deployments with the real one's interface but no hosts, to test `history`. */
import { condition, executeChild, setHandler } from '@temporalio/workflow';
import {
  attachDeploy,
  workflowIds,
  type DeployInput,
  type DeployResult,
} from '../../src/temporal/contract.js';

export { framework } from '../../src/workflows/framework.js';

/** Does not end with `never` as its digest. */
export async function deploy({ spec, digest = '' }: DeployInput): Promise<DeployResult> {
  setHandler(attachDeploy, () => ({ digest }));
  if (digest === 'never') await condition(() => false);
  const changed = spec.nodes.count;
  return { cluster: spec.name, changed, stages: [{ name: 'framework', changed, ms: 1 }] };
}

/** As a Schedule starts a deployment: by another ID. */
export async function scheduled(input: DeployInput): Promise<void> {
  await executeChild(deploy, { workflowId: workflowIds.deploy(input.spec.name), args: [input] });
}
