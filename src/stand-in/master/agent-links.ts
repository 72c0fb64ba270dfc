import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import type { AgentLink } from './cluster.js';
import type { Log } from '../log.js';
import type { Master } from './master.js';
import { readMessage } from '../proto.js';
import { agentPath, fromAgentKind } from '../protocol.js';

/** Takes the WebSockets of agents, while this process leads. */
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

function serveAgent(socket: WebSocket, log: Log, master: Master): void {
  let agentId: string | undefined;
  let open = true;
  const link: AgentLink = {
    send: (message) => socket.send(JSON.stringify(message)),
    close: () => socket.terminate(),
  };
  const ping = setInterval(() => socket.ping(), master.settings.agentPingTimeoutMs / 2);
  const heard = () => {
    if (agentId !== undefined) master.heard(agentId);
  };
  const register = async (registration: Parameters<Master['register']>[0]): Promise<void> => {
    const id = await master.register(registration, link);
    agentId = id;
    if (!open) master.disconnected(id, link);
  };
  socket.on('pong', heard);
  socket.on('error', (error) => log.warn(`Connection of agent ${agentId ?? '(new)'}: ${error.message}`));
  socket.on('close', () => {
    open = false;
    clearInterval(ping);
    if (agentId !== undefined) master.disconnected(agentId, link);
  });
  socket.on('message', (data: Buffer) => {
    heard();
    try {
      const message = readMessage(fromAgentKind, JSON.parse(data.toString('utf8')));
      if (message.register) {
        register(message.register).catch((error: unknown) => {
          log.error(`Cannot register an agent: ${String(error)}`);
          socket.terminate();
        });
      } else if (message.update && agentId !== undefined) {
        master.updateFrom(agentId, message.update);
      }
    } catch (error) {
      log.warn(`Agent ${agentId ?? '(new)'} sent what is no message: ${String(error)}`);
      socket.terminate();
    }
  });
}
