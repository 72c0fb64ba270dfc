import { isCancellation, proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../../activities/index.js';
import type { HostSpec } from '../../cluster/spec.js';
import type { Change } from '../../hosts/items.js';
import { lastly, quick } from '../../temporal/options.js';
import { failure, finalFailure } from '../failure.js';
import { inParallel } from '../parallel.js';
import { converge } from './converge.js';
import type { Stage } from './stage.js';

const { ensureFramework } = proxyActivities<Activities>(quick);
const { clearLeaving } = proxyActivities<Activities>(lastly);

/** Their nodes have moved by now, and they are members of no ensemble. Only when all are done the cluster forgets them. */
export const removal = {
  name: 'removal',
  title: 'End the services of hosts that the spec no longer contains',
  skip: (_spec, { leaving }) =>
    leaving.length === 0 ? 'the spec contains all hosts of the cluster' : undefined,
  async run({ spec, leaving, purgeRemoved: purge }) {
    const cleared = await inParallel(leaving, ({ host }) =>
      reachingLeaver(host, () =>
        clearLeaving.executeWithOptions({ summary: `clear ${host.name}, which leaves` }, [
          { spec, host, purge },
        ]),
      ),
    );
    await ensureFramework.executeWithOptions({ summary: 'hand over the spec without them' }, [{ spec }]);
    const changes: Change[] = cleared.flat();
    if (spec.network.kind !== 'vxlan') return changes;
    // Until now the others sent packets to them.
    const unlinked = await inParallel(spec.hosts, (host) => converge(spec, host, 'network'));
    return [...changes, ...unlinked.flat()];
  },
} as const satisfies Stage;

/** @throws REMOVED_HOST_SILENT in place of any failure to reach the host */
export async function reachingLeaver<T>({ name }: HostSpec, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isCancellation(error)) throw error;
    const { code, message } = finalFailure(error).facts;
    if (!code.startsWith('SSH_')) throw error;
    throw failure(
      'REMOVED_HOST_SILENT',
      `${name} is to leave the cluster and cannot be reached: ${message}`,
      {
        host: name,
      },
    );
  }
}
