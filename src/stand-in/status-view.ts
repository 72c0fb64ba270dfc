import type { TaskStatus } from './messages.js';
import { anything, message, optional, readMessage } from './proto.js';

const containerStatusKind = message({
  container_id: optional(anything),
  network_infos: optional(anything),
});

/** A status as in `/state` of masters and agents: a subset of what the framework was sent. */
export function statusState({ state, timestamp, container_status: container }: TaskStatus): unknown {
  const { container_id: id, network_infos: networks } = readMessage(containerStatusKind, container ?? {});
  return {
    state,
    timestamp,
    ...(container !== undefined && {
      container_status: {
        ...(id !== undefined && { container_id: id }),
        ...(networks !== undefined && { network_infos: networks }),
      },
    }),
  };
}
