/** Workflows whose code fits no history of Perijove's: what a release makes of another one's runs. */
import { condition, proxyActivities } from '@temporalio/workflow';

const { neverScheduled } = proxyActivities<{ neverScheduled(): Promise<void> }>({
  startToCloseTimeout: '1m',
});

async function other(): Promise<void> {
  await Promise.all(Array.from({ length: 9 }, () => neverScheduled()));
  await condition(() => false);
}

export async function deploy(): Promise<void> {
  await other();
}
export async function framework(): Promise<void> {
  await other();
}
export async function keeper(): Promise<void> {
  await other();
}
export async function teardown(): Promise<void> {
  await other();
}
