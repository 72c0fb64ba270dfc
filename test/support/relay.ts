import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export interface RelayTarget {
  readonly host: string;
  readonly port: number;
}

/** A network between one client and some servers, which can be cut: then nothing passes, without notice. */
export class Relay {
  /** Time of the client's last SUBSCRIBE; ms since the epoch. */
  subscribedAt = 0;
  readonly #servers: Server[] = [];
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #ports = new Map<string, number>();
  #isCut = false;

  static async to(targets: readonly RelayTarget[]): Promise<Relay> {
    const relay = new Relay();
    await Promise.all(targets.map((target) => relay.#listen(target)));
    return relay;
  }

  /** Port on 127.0.0.1 for each `host:port`. */
  get ports(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#ports);
  }

  /** Open connections. */
  get connections(): number {
    return this.#pairs.size;
  }

  cut(): void {
    this.#isCut = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  /** New connections succeed again; earlier ones are reset. */
  mend(): void {
    this.#isCut = false;
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
  }

  close(): void {
    this.mend();
    for (const server of this.#servers) server.close();
  }

  async #listen(target: RelayTarget): Promise<void> {
    const server = createServer((client) => this.#pass(client, target));
    this.#servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.#ports.set(`${target.host}:${target.port}`, (server.address() as AddressInfo).port);
  }

  #pass(client: Socket, target: RelayTarget): void {
    const server = connect(target.port, target.host);
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    for (const [from, to] of [pair, [server, client] as const]) {
      from.on('data', (data) => {
        if (from === client && data.includes('"SUBSCRIBE"')) this.subscribedAt = Date.now();
        to.write(data);
      });
      from.on('error', () => undefined);
      // A cut also blocks the end of a connection.
      from.on('close', () => {
        this.#pairs.delete(pair);
        if (!this.#isCut) to.destroy();
      });
      if (this.#isCut) from.pause();
    }
  }
}
