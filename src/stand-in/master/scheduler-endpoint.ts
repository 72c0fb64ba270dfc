import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { HttpReply, readCall, requireJsonAccepted, requirePost, sendText } from '../http.js';
import type { Log } from '../log.js';
import {
  schedulerCallKind,
  validateSchedulerCall,
  type FrameworkInfo,
  type SchedulerCall,
  type SchedulerEvent,
} from '../messages.js';
import { withoutEmptyLists } from '../proto.js';
import type { Framework, SchedulerStream } from './cluster.js';
import type { Master } from './master.js';

/** Unread bytes after which a scheduler's stream is closed. */
const largestBacklogBytes = 16 * 1024 * 1024;

/**
 * Handles a call of the v1 scheduler API. SUBSCRIBE leaves the response open as the event stream.
 *
 * @param principal of the request; undefined where the endpoint needs no authentication
 * @throws HttpReply with Mesos' status and message
 */
export async function schedulerCall(
  master: Master,
  log: Log,
  request: IncomingMessage,
  response: ServerResponse,
  principal: string | undefined,
): Promise<void> {
  requirePost(request);
  const call = await readCall(request, schedulerCallKind);
  const invalid =
    validateSchedulerCall(call) ?? principalMismatch(principal, call.subscribe?.framework_info.principal);
  if (invalid !== undefined) throw new HttpReply(400, `Failed to validate scheduler::Call: ${invalid}`);
  const streamId = request.headers['mesos-stream-id'];
  if (call.type === 'SUBSCRIBE') {
    requireJsonAccepted(request);
    if (streamId !== undefined) {
      throw new HttpReply(400, "Subscribe calls should not include the 'Mesos-Stream-Id' header");
    }
    const info = call.subscribe?.framework_info;
    if (info) subscribe(master, log, response, principal === undefined ? info : { ...info, principal });
    return;
  }
  master.calls.handle(subscribedFramework(master, call, principal, streamId), call);
  sendText(response, 202, '');
}

/** The framework of a call, which must match its principal and stream. */
function subscribedFramework(
  { cluster }: Master,
  call: SchedulerCall,
  principal: string | undefined,
  streamId: string | readonly string[] | undefined,
): Framework {
  const framework = cluster.frameworks.get(call.framework_id?.value ?? '');
  if (!framework) throw new HttpReply(400, 'Framework cannot be found');
  const mismatch = principalMismatch(principal, framework.info.principal ?? '');
  if (mismatch !== undefined) throw new HttpReply(400, mismatch);
  if (!framework.stream) throw new HttpReply(403, 'Framework is not subscribed');
  if (streamId === undefined) {
    throw new HttpReply(400, "All non-subscribe calls should include the 'Mesos-Stream-Id' header");
  }
  if (streamId !== framework.stream.id) {
    throw new HttpReply(
      400,
      `The stream ID '${String(streamId)}' included in this request didn't match the stream ID currently associated with framework ID ${framework.id}`,
    );
  }
  return framework;
}

/** Why an authenticated principal may not act for a framework; undefined when it may. */
function principalMismatch(principal: string | undefined, own: string | undefined): string | undefined {
  if (principal === undefined || own === undefined || principal === own) return undefined;
  return `Authenticated principal '${principal}' does not match principal '${own}' set in \`FrameworkInfo\``;
}

function subscribe(master: Master, log: Log, response: ServerResponse, info: FrameworkInfo): void {
  const stream = openStream(log, response);
  // A framework whose client has already hung up would never be seen to disconnect.
  if (response.destroyed) return;
  response.on('close', () => master.frameworks.disconnected(stream));
  master.frameworks.subscribe(info, stream);
}

function openStream(log: Log, response: ServerResponse): SchedulerStream {
  const id = randomUUID();
  response.writeHead(200, { 'Content-Type': 'application/json', 'Mesos-Stream-Id': id });
  response.socket?.setNoDelay();
  response.socket?.setKeepAlive(true, 15_000);
  return {
    id,
    send: (event: SchedulerEvent) => {
      if (response.writableEnded || response.destroyed) return;
      const text = JSON.stringify(withoutEmptyLists(event));
      response.write(`${Buffer.byteLength(text)}\n${text}`);
      if (response.writableLength > largestBacklogBytes) {
        log.warn(`Closing stream ${id}: its scheduler does not read`);
        response.destroy();
      }
    },
    close: () => {
      response.end();
    },
  };
}
