/** Deploy, host and teardown with an extra step: replaying a correct history must fail. */
import { sleep } from '@temporalio/workflow';
import type { Change } from '../../src/hosts/items.js';
import type {
  DeployInput,
  DeployResult,
  HostInput,
  TeardownInput,
  TeardownResult,
} from '../../src/temporal/contract.js';
import { deploy as rightDeploy } from '../../src/workflows/deploy.js';
import { host as rightHost } from '../../src/workflows/host.js';
import { teardown as rightTeardown } from '../../src/workflows/teardown.js';

export async function deploy(input: DeployInput): Promise<DeployResult> {
  await sleep(1);
  return rightDeploy(input);
}

export async function teardown(input: TeardownInput): Promise<TeardownResult> {
  await sleep(1);
  return rightTeardown(input);
}

export async function host(input: HostInput): Promise<readonly Change[]> {
  await sleep(1);
  return rightHost(input);
}
