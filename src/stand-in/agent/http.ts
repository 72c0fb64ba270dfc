import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  agentMetrics,
  agentOperatorView,
  agentStateView,
  containersView,
  type AgentProcess,
} from './views.js';
import type { Realm } from '../authentication.js';
import { HttpReply, readCall, requireJsonAccepted, requirePost, sendJson, sendText } from '../http.js';
import { operatorCallKind } from '../messages.js';
import { systemStats } from '../metrics.js';
import { withoutEmptyLists } from '../proto.js';
import { versionInfo } from '../version.js';

/** Handles one HTTP request to an agent. */
export async function handleAgentRequest(
  self: AgentProcess,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://agent');
  const endpoint = pathname.replace(/^\/slave\(1\)\//, '/').replace(/\.json$/, '');
  const realm = realmOf(endpoint);
  if (realm !== undefined) self.authentication.principalOf(request, realm);
  switch (endpoint) {
    case '/health':
      sendText(response, 200, '');
      return;
    case '/version':
      sendJson(response, versionInfo);
      return;
    case '/flags':
      sendJson(response, { flags: self.flags.values });
      return;
    case '/state':
      sendJson(response, agentStateView(self));
      return;
    case '/metrics/snapshot':
      sendJson(response, agentMetrics(self));
      return;
    case '/system/stats':
      sendJson(response, systemStats());
      return;
    case '/containers':
      sendJson(response, containersView(self));
      return;
    case '/api/v1':
      await operatorCall(self, request, response);
      return;
    default:
      sendText(response, 404, '');
  }
}

function realmOf(endpoint: string): Realm | undefined {
  if (endpoint === '/api/v1') return 'mesos-agent-readwrite';
  const isOpen = ['/health', '/version', '/system/stats'].includes(endpoint);
  return isOpen ? undefined : 'mesos-agent-readonly';
}

async function operatorCall(
  self: AgentProcess,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  requirePost(request);
  const { type } = await readCall(request, operatorCallKind);
  requireJsonAccepted(request);
  const view = agentOperatorView(self, type);
  if (view === undefined) {
    throw new HttpReply(501, `The stand-in's agent does not answer ${type ?? 'a call without a type'}`);
  }
  sendJson(response, withoutEmptyLists(view));
}
