import { EventEmitter } from 'node:events';
import { WebSocket } from 'ws';
import type { MasterInfo } from '../election.js';
import type { Log } from '../log.js';
import { readMessage } from '../proto.js';
import { agentPath, toAgentKind, type FromAgent, type Registration, type ToAgent } from '../protocol.js';

interface LinkEvents {
  message: [message: ToAgent];
  /** Messages are lost until the next REGISTERED. */
  lost: [];
}

/** Silence tolerated until the master sends its own limit. */
const firstSilenceMs = 30_000;

/** An agent's connection to the leading master. Reconnects and re-registers while there is a leader. */
export class MasterLink extends EventEmitter<LinkEvents> {
  #master: MasterInfo | undefined;
  #socket: WebSocket | undefined;
  #retry: NodeJS.Timeout | undefined;
  #silence: NodeJS.Timeout | undefined;
  #silenceMs = firstSilenceMs;
  #failures = 0;

  constructor(
    readonly log: Log,
    readonly backoffMs: number,
    readonly registration: () => Registration,
  ) {
    super();
  }

  /** Follows a new leader and closes the connection to the former one. */
  follow(master: MasterInfo | undefined): void {
    this.#master = master;
    this.#failures = 0;
    clearTimeout(this.#retry);
    this.#drop();
    if (!master) {
      this.log.info('Lost leading master');
      return;
    }
    this.log.info(`New master detected at ${master.pid}`);
    this.#connect(master);
  }

  get master(): MasterInfo | undefined {
    return this.#master;
  }

  send(message: FromAgent): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  close(): void {
    this.#master = undefined;
    clearTimeout(this.#retry);
    this.#drop();
  }

  #connect(master: MasterInfo): void {
    const { ip, port } = master.address;
    const socket = new WebSocket(`ws://${ip}:${port}${agentPath}`, {
      handshakeTimeout: 5_000,
      maxPayload: 64 * 1024 * 1024,
    });
    this.#socket = socket;
    socket.on('open', () => {
      this.#heard(socket);
      this.send({ type: 'REGISTER', register: this.registration() });
    });
    socket.on('ping', () => this.#heard(socket));
    socket.on('message', (data: Buffer) => {
      this.#heard(socket);
      const message = readMessage(toAgentKind, JSON.parse(data.toString('utf8')));
      if (message.registered) {
        this.#failures = 0;
        this.#silenceMs = message.registered.silence_ms;
      }
      this.emit('message', message);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => this.#closed(socket, master));
  }

  #closed(socket: WebSocket, master: MasterInfo): void {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    clearTimeout(this.#silence);
    this.emit('lost');
    // A new leader may still be reading its registry: retry quickly at first, then less often.
    const ms = Math.min(100 * 2 ** this.#failures, Math.max(this.backoffMs, 100)) * (0.5 + Math.random() / 2);
    this.#failures += 1;
    this.#retry = setTimeout(() => this.#connect(master), ms);
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    clearTimeout(this.#silence);
    if (!socket) return;
    socket.terminate();
    this.emit('lost');
  }

  #heard(socket: WebSocket): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.log.warn('No pings from master received within the time-out');
      socket.terminate();
    }, this.#silenceMs);
  }
}
