import { ZNodeError, type ZooKeeperClient } from '../zookeeper/client.js';

/** Retries after connection loss for as long as the session lives. */
export async function patiently<T>(session: ZooKeeperClient, ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ZNodeError && error.code === 'LOST')) throw error;
      await session.opened(session.sessionTimeoutMs);
    }
  }
}
