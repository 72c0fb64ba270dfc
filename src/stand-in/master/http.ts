import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Realm } from '../authentication.js';
import {
  HttpReply,
  readBody,
  readCall,
  requireJsonAccepted,
  requirePost,
  sendHtml,
  sendJson,
  sendText,
} from '../http.js';
import type { Log } from '../log.js';
import { isAnswered, maintenanceScheduleKind, operatorCallKind } from '../messages.js';
import { systemStats } from '../metrics.js';
import { ProtoError, readMessage, withoutEmptyLists } from '../proto.js';
import { versionInfo } from '../version.js';
import { Maintenance } from './maintenance.js';
import type { Master } from './master.js';
import { masterMetrics } from './metrics.js';
import { operatorView } from './operator-views.js';
import { masterPage } from './page.js';
import { clusterOf, type MasterProcess } from './process.js';
import { schedulerCall } from './scheduler-endpoint.js';
import { frameworksView, rolesView, slavesView, stateView, summaryView, tasksView } from './views.js';

/** Endpoints served only by the leader, by their path below `/master/`, without `.json`. */
const leaderEndpoints: Readonly<Record<string, (self: MasterProcess, query: URLSearchParams) => unknown>> = {
  state: stateView,
  'state-summary': summaryView,
  slaves: (self) => slavesView(clusterOf(self)),
  frameworks: (self) => frameworksView(clusterOf(self)),
  tasks: (self, query) => tasksView(clusterOf(self), query),
  roles: (self) => rolesView(clusterOf(self)),
  weights: () => [],
  quota: () => ({}),
  'maintenance/status': ({ master }) => master?.maintenance.statusView() ?? {},
  'maintenance/schedule': ({ master }) => master?.maintenance.scheduleView() ?? {},
};

/** Endpoints without authentication. The page requires it: unlike Mesos' page, it shows the state. */
const openEndpoints = new Set(['health', 'redirect', 'version', 'system/stats']);

function realmOf(endpoint: string): Realm | undefined {
  if (/^api\/v1\/scheduler(?:\/|$)/.test(endpoint)) return 'mesos-master-scheduler';
  if (/^api\/v1(?:\/|$)/.test(endpoint) || endpoint === 'logging/toggle') return 'mesos-master-readwrite';
  if (['weights', 'quota', 'maintenance/schedule'].includes(endpoint)) return 'mesos-master-readwrite';
  return openEndpoints.has(endpoint) ? undefined : 'mesos-master-readonly';
}

/** Handles one HTTP request to a master, leading or not. */
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
    await schedulerCall(requireRecovered(self), log, request, response, principal);
  } else if (path === 'api/v1' || path.startsWith('api/v1/')) {
    redirectUnlessLeading(self, '/master/api/v1');
    await operatorCall(self, request, response);
  } else if (endpoint === 'maintenance/schedule' && request.method === 'POST') {
    redirectUnlessLeading(self, `/master/${path}${url.search}`);
    await updateSchedule(requireRecovered(self), request);
    sendText(response, 200, '');
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

/** Redirects before anything else of the request is checked, as in Mesos. */
function redirectUnlessLeading(self: MasterProcess, path: string): void {
  if (!self.leader) throw new HttpReply(503, 'No leader elected');
  if (self.leader.id === self.info.id) return;
  throw new HttpReply(307, '', { Location: `//${self.leader.hostname}:${self.leader.port}${path}` });
}

/** The leading master, once it has read its registry. */
function requireRecovered({ master }: MasterProcess): Master {
  if (!master) throw new HttpReply(503, 'Master has not finished recovery');
  return master;
}

async function updateSchedule({ maintenance }: Master, request: IncomingMessage): Promise<void> {
  const body = await readBody(request);
  let windows;
  try {
    ({ windows } = readMessage(maintenanceScheduleKind, JSON.parse(body)));
  } catch (error) {
    if (!(error instanceof ProtoError || error instanceof SyntaxError)) throw error;
    throw new HttpReply(400, error.message);
  }
  const problem = Maintenance.problemOf(windows);
  if (problem !== undefined) throw new HttpReply(400, problem);
  await maintenance.schedule(windows);
}

async function operatorCall(
  self: MasterProcess,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  requireRecovered(self);
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
  sendJson(response, withoutEmptyLists(operatorView(self, call.type)));
}
