import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Realm } from '../authentication.js';
import type { SchedulerStream } from './cluster.js';
import {
  HttpReply,
  readCall,
  requireJsonAccepted,
  requirePost,
  sendHtml,
  sendJson,
  sendText,
} from '../http.js';
import type { Log } from '../log.js';
import type { Master } from './master.js';
import {
  frameworksView,
  operatorView,
  rolesView,
  slavesView,
  stateView,
  summaryView,
  tasksView,
} from './views.js';
import type { MasterProcess } from './process.js';
import {
  isAnswered,
  operatorCallKind,
  schedulerCallKind,
  validateSchedulerCall,
  type SchedulerEvent,
} from '../messages.js';
import { masterMetrics, systemStats } from '../metrics.js';
import { masterPage } from './page.js';
import { withoutEmptyLists } from '../proto.js';
import { versionInfo } from '../version.js';

/** Endpoints that only the leader answers, by their name below `/master/`; `.json` may follow. */
const leaderEndpoints: Readonly<Record<string, (self: MasterProcess, query: URLSearchParams) => unknown>> = {
  state: stateView,
  'state-summary': summaryView,
  slaves: ({ master }) => slavesView(master),
  frameworks: ({ master }) => frameworksView(master),
  tasks: ({ master }, query) => tasksView(master, query),
  roles: ({ master }) => rolesView(master),
  weights: () => [],
  quota: () => ({}),
  'maintenance/status': () => ({}),
  'maintenance/schedule': () => ({}),
};

/** Endpoints that everybody may ask. The page is none of them: the real one's holds no state, ours does. */
const openEndpoints = new Set(['health', 'redirect', 'version', 'system/stats']);

function realmOf(endpoint: string): Realm | undefined {
  if (/^api\/v1\/scheduler(?:\/|$)/.test(endpoint)) return 'mesos-master-scheduler';
  if (/^api\/v1(?:\/|$)/.test(endpoint) || endpoint === 'logging/toggle') return 'mesos-master-readwrite';
  if (['weights', 'quota', 'maintenance/schedule'].includes(endpoint)) return 'mesos-master-readwrite';
  return openEndpoints.has(endpoint) ? undefined : 'mesos-master-readonly';
}

/** Bytes that a scheduler may leave unread before its connection is cut. */
const largestBacklogBytes = 16 * 1024 * 1024;

/** Answers one request to a master, leading or not. */
export async function handleMasterRequest(
  self: MasterProcess,
  log: Log,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://master');
  const path = url.pathname.replace(/^\/master\//, '/').replace(/^\//, '');
  const endpoint = path.replace(/\.json$/, '');
  const callback = url.searchParams.get('jsonp') ?? undefined;
  const realm = realmOf(endpoint);
  const principal = realm === undefined ? undefined : self.authentication.principalOf(request, realm);
  if (path === 'api/v1/scheduler' || path.startsWith('api/v1/scheduler/')) {
    redirectUnlessLeading(self, `/master/api/v1/scheduler`);
    await schedulerCall(leading(self), log, request, response, principal);
  } else if (path === 'api/v1' || path.startsWith('api/v1/')) {
    redirectUnlessLeading(self, '/master/api/v1');
    await operatorCall(self, request, response);
  } else if (leaderEndpoints[endpoint]) {
    redirectUnlessLeading(self, `/master/${path}${url.search}`);
    sendJson(response, leaderEndpoints[endpoint](self, url.searchParams), callback);
  } else {
    answerByAnyMaster(self, endpoint, response, callback);
  }
}

function answerByAnyMaster(
  self: MasterProcess,
  endpoint: string,
  response: ServerResponse,
  callback: string | undefined,
): void {
  switch (endpoint) {
    case '':
      sendHtml(response, masterPage(self));
      return;
    case 'health':
      sendText(response, 200, '');
      return;
    case 'redirect':
      if (!self.leader) throw new HttpReply(503, 'No leader elected');
      sendText(response, 307, '', { Location: `//${self.leader.hostname}:${self.leader.port}` });
      return;
    case 'flags':
      sendJson(response, { flags: self.flags.values }, callback);
      return;
    case 'version':
      sendJson(response, versionInfo, callback);
      return;
    case 'metrics/snapshot':
      sendJson(response, masterMetrics(self), callback);
      return;
    case 'system/stats':
      sendJson(response, systemStats(), callback);
      return;
    case 'logging/toggle':
      sendText(response, 200, '0\n');
      return;
    default:
      sendText(response, 404, '');
  }
}

/** Before anything else of the request is looked at, as the real one does. */
function redirectUnlessLeading(self: MasterProcess, path: string): void {
  if (!self.leader) throw new HttpReply(503, 'No leader elected');
  if (self.leader.id === self.info.id) return;
  throw new HttpReply(307, '', { Location: `//${self.leader.hostname}:${self.leader.port}${path}` });
}

function leading({ master }: MasterProcess): Master {
  if (!master) throw new HttpReply(503, 'Master has not finished recovery');
  return master;
}

async function operatorCall(
  self: MasterProcess,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const master = leading(self);
  requirePost(request);
  const call = await readCall(request, operatorCallKind);
  const expect = (name: string) =>
    new HttpReply(400, `Failed to validate master::Call: Expecting '${name}' to be present`);
  if (call.type === undefined) throw expect('type');
  if (call.type === 'GET_METRICS' && call.get_metrics === undefined) throw expect('get_metrics');
  requireJsonAccepted(request);
  if (!isAnswered(call.type)) {
    throw new HttpReply(501, `The stand-in's master does not answer ${call.type}`);
  }
  sendJson(response, withoutEmptyLists(operatorView(self, master, call.type)));
}

async function schedulerCall(
  master: Master,
  log: Log,
  request: IncomingMessage,
  response: ServerResponse,
  principal: string | undefined,
): Promise<void> {
  requirePost(request);
  const call = await readCall(request, schedulerCallKind);
  const invalid =
    validateSchedulerCall(call) ?? strangePrincipal(principal, call.subscribe?.framework_info.principal);
  if (invalid !== undefined) throw new HttpReply(400, `Failed to validate scheduler::Call: ${invalid}`);
  const streamId = request.headers['mesos-stream-id'];
  if (call.type === 'SUBSCRIBE') {
    requireJsonAccepted(request);
    if (streamId !== undefined) {
      throw new HttpReply(400, "Subscribe calls should not include the 'Mesos-Stream-Id' header");
    }
    const info = call.subscribe?.framework_info;
    if (info) {
      const own = principal === undefined ? info : { ...info, principal };
      openStream(master, log, response, (stream) => master.subscribe(own, stream));
    }
    return;
  }
  const framework = master.frameworks.get(call.framework_id?.value ?? '');
  if (!framework) throw new HttpReply(400, 'Framework cannot be found');
  const stranger = strangePrincipal(principal, framework.info.principal);
  if (stranger !== undefined) throw new HttpReply(400, stranger);
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
  master.handle(framework, call);
  sendText(response, 202, '');
}

/** Why somebody who was let in does not speak for a framework; undefined when he does. */
function strangePrincipal(principal: string | undefined, own: string | undefined): string | undefined {
  if (principal === undefined || own === undefined || principal === own) return undefined;
  return `Authenticated principal '${principal}' does not match principal '${own}' set in \`FrameworkInfo\``;
}

function openStream(
  master: Master,
  log: Log,
  response: ServerResponse,
  subscribe: (stream: SchedulerStream) => void,
): void {
  const id = randomUUID();
  response.writeHead(200, { 'Content-Type': 'application/json', 'Mesos-Stream-Id': id });
  response.socket?.setNoDelay();
  response.socket?.setKeepAlive(true, 15_000);
  const stream: SchedulerStream = {
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
  // A client that has hung up already would hold its framework's place for ever.
  if (response.destroyed) return;
  response.on('close', () => master.unsubscribed(stream));
  subscribe(stream);
}
