/** Workflows with the state of a framework and a keeper as a test sets it, and one that runs one activity. */
import { condition, setHandler } from '@temporalio/workflow';
import {
  frameworkState,
  keeperState,
  type FrameworkState,
  type KeeperState,
} from '../../src/temporal/contract.js';

export { callActivity } from '../support/call-workflows.js';

export async function framework(state: FrameworkState): Promise<void> {
  setHandler(frameworkState, () => state);
  await condition(() => false);
}

export async function keeper(state: KeeperState): Promise<void> {
  setHandler(keeperState, () => state);
  await condition(() => false);
}
