/** One activity with limits that grow, called twice. */
import { growingActivities } from '../../src/workflows/growing.js';

export interface Slow {
  slow(): Promise<void>;
  once(): Promise<void>;
}

const retry = { initialInterval: 10, maximumInterval: 10 };
const { slow } = growingActivities<Slow>({ startToCloseTimeout: '1s', retry });
const { slow: silent } = growingActivities<Slow>({
  startToCloseTimeout: '60s',
  heartbeatTimeout: '1s',
  retry,
});
const { once } = growingActivities<Slow>({ startToCloseTimeout: '1s', retry: { maximumAttempts: 1 } });

export async function takesLong(): Promise<void> {
  await slow();
  await slow();
}

export async function isSilent(): Promise<void> {
  await silent();
}

export async function isTriedOnce(): Promise<void> {
  await once();
}
