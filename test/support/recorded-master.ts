import { createServer, type Server, type Socket } from 'node:net';

export interface Received {
  readonly head: string;
  /** Empty for a request without a body. */
  readonly body: Record<string, unknown>;
}

/** Replies with recorded bytes, one reply per connection and request, and keeps the requests. */
export class RecordedMaster {
  readonly received: Received[] = [];
  connections = 0;
  readonly #sockets = new Set<Socket>();
  readonly #answers: (string | ((socket: Socket) => void))[];
  readonly #server: Server;

  constructor(...answers: (string | ((socket: Socket) => void))[]) {
    this.#answers = answers;
    this.#server = createServer((socket) => this.#serve(socket));
    all.push(this);
  }

  async start(): Promise<{ host: string; port: number }> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.24.3.1', resolve));
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return { host: '127.24.3.1', port: address.port };
  }

  static async stopAll(): Promise<void> {
    await Promise.all(all.splice(0).map((master) => master.#stop()));
  }

  async #stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: Socket): void {
    this.connections += 1;
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
      for (;;) {
        const end = text.indexOf('\r\n\r\n');
        const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
        if (end === -1 || text.length < end + 4 + length) return;
        const json = length === 0 ? '{}' : text.slice(end + 4, end + 4 + length);
        const body = JSON.parse(json) as Record<string, unknown>;
        this.received.push({ head: text.slice(0, end), body });
        text = text.slice(end + 4 + length);
        const answer = this.#answers.shift();
        if (typeof answer === 'function') answer(socket);
        else socket.write(answer ?? 'HTTP/1.1 500 No More\r\nContent-Length: 0\r\n\r\n');
      }
    });
  }
}

const all: RecordedMaster[] = [];
