import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import type { AgentLink } from './cluster.js';
import type { Log } from '../log.js';
import type { Master } from './master.js';
import { readMessage } from '../proto.js';
import { agentPath, fromAgentKind, type Registration } from '../protocol.js';

/** Accepts WebSockets of agents while this process leads. */
export function serveAgents(server: Server, log: Log, master: () => Master | undefined): void {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: 64 * 1024 * 1024 });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const current = master();
    if (request.url !== agentPath || !current) {
      socket.end('HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => serveAgent(webSocket, log, current));
  });
}

function serveAgent(socket: WebSocket, log: Log, { agents, observer, updates, settings }: Master): void {
  let agentId: string | undefined;
  let open = true;
  const link: AgentLink = {
    send: (message) => socket.send(JSON.stringify(message)),
    close: () => socket.terminate(),
  };
  const ping = setInterval(() => socket.ping(), settings.agentPingTimeoutMs / 2);
  const answered = () => {
    if (agentId !== undefined) observer.answered(agentId);
  };
  const register = async (registration: Registration): Promise<void> => {
    const id = await agents.register(registration, link);
    agentId = id;
    if (!open) agents.disconnected(id, link);
  };
  socket.on('pong', answered);
  socket.on('error', (error) => log.warn(`Connection of agent ${agentId ?? '(new)'}: ${error.message}`));
  socket.on('close', () => {
    open = false;
    clearInterval(ping);
    if (agentId !== undefined) agents.disconnected(agentId, link);
  });
  socket.on('message', (data: Buffer) => {
    answered();
    try {
      const message = readMessage(fromAgentKind, JSON.parse(data.toString('utf8')));
      if (message.register) {
        register(message.register).catch((error: unknown) => {
          log.error(`Cannot register an agent: ${String(error)}`);
          socket.terminate();
        });
      } else if (message.update && agentId !== undefined) {
        updates.forward(agentId, message.update);
      }
    } catch (error) {
      log.warn(`Agent ${agentId ?? '(new)'} sent an invalid message: ${String(error)}`);
      socket.terminate();
    }
  });
}
