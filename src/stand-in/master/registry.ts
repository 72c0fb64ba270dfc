import { ZNodeError, type ZooKeeperClient } from '../../zookeeper/client.js';
import { patiently } from '../patiently.js';
import { maintenanceWindowKind } from '../messages.js';
import { message, number, readMessage, repeated, required, string, type Read } from '../proto.js';

const registryKind = message({
  agents: repeated(
    message({
      id: required(string),
      hostname: required(string),
      ip: required(string),
      port: required(number),
    }),
  ),
  unreachable: repeated(
    /** `at`: milliseconds since 1970 */
    message({ id: required(string), hostname: required(string), at: required(number) }),
  ),
  windows: repeated(maintenanceWindowKind),
});

/** Admitted and unreachable agents, and the schedule of maintenance: what a new leader must know. */
export type RegistryContent = Read<typeof registryKind>;
export type RegistryAgent = RegistryContent['agents'][number];

export interface Registry {
  /** Reads everything; later writes are based on it. */
  recover(): Promise<RegistryContent>;
  /** Replaces everything. Rejects when another master has changed it: this one has lost leadership. */
  store(content: RegistryContent): Promise<void>;
}

/** For a master without ZooKeeper: lost when it ends. */
export const memoryRegistry = (): Registry => ({
  recover: async () => ({ agents: [], unreachable: [], windows: [] }),
  store: async () => undefined,
});

/**
 * The registry in a znode. (Mesos keeps it in a log replicated among the masters.) The znode's version is the
 * fence: of two masters that both believe they lead, only one can write.
 */
export function zookeeperRegistry(session: ZooKeeperClient, mesosPath: string): Registry {
  const path = `${mesosPath}/stand-in-registry`;
  let version = 0;
  let last: Promise<void> = Promise.resolve();
  const write = async (text: string): Promise<void> => {
    for (;;) {
      try {
        version = await session.setData(path, text, version);
        return;
      } catch (error) {
        if (!(error instanceof ZNodeError && error.code === 'LOST')) throw error;
        await session.opened(session.sessionTimeoutMs);
        const znode = await patiently(session, () => session.getData(path));
        // The response was lost; the write itself may have been applied.
        if (znode.version === version + 1 && znode.data.toString('utf8') === text) {
          version = znode.version;
          return;
        }
      }
    }
  };
  return {
    recover: async () => {
      await patiently(session, () => createIfMissing(session, path));
      const znode = await patiently(session, () => session.getData(path));
      version = znode.version;
      return readMessage(registryKind, JSON.parse(znode.data.toString('utf8')));
    },
    store: async (content) => {
      last = last.then(() => write(JSON.stringify(content)));
      await last;
    },
  };
}

/** The current registry; undefined if there is none. */
export async function readRegistry(
  session: ZooKeeperClient,
  mesosPath: string,
): Promise<RegistryContent | undefined> {
  try {
    const { data } = await session.getData(`${mesosPath}/stand-in-registry`);
    return readMessage(registryKind, JSON.parse(data.toString('utf8')));
  } catch (error) {
    if (error instanceof ZNodeError && error.code === 'NO_NODE') return undefined;
    throw error;
  }
}

async function createIfMissing(session: ZooKeeperClient, path: string): Promise<void> {
  try {
    await session.create(path, JSON.stringify({ agents: [], unreachable: [] }), 'persistent');
  } catch (error) {
    if (!(error instanceof ZNodeError && error.code === 'NODE_EXISTS')) throw error;
  }
}
