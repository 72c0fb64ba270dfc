/** A framework and a keeper that a test gives their states, and what ends them. */
import { condition, setHandler } from '@temporalio/workflow';
import {
  frameworkState,
  keeperState,
  markEtcdFormed,
  stopKeeper,
  type FrameworkState,
  type KeeperState,
} from '../../src/temporal/contract.js';

export { callActivity } from '../support/call-workflows.js';

export async function framework(given: FrameworkState): Promise<void> {
  let state = given;
  setHandler(frameworkState, () => state);
  setHandler(markEtcdFormed, () => {
    state = { ...state, etcdFormed: true };
  });
  await condition(() => false);
}

export async function keeper(state: KeeperState): Promise<void> {
  let stopped = false;
  setHandler(keeperState, () => state);
  setHandler(stopKeeper, () => {
    stopped = true;
  });
  await condition(() => stopped);
}
