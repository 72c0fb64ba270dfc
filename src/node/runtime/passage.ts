import { connect, type Socket } from 'node:net';

/** The beginning of the response that switches to a websocket. */
const switching = Buffer.from('HTTP/1.1 101');

export interface PassageOptions {
  readonly client: Socket;
  /** Path of the Unix socket that receives everything. */
  readonly socket: string;
  /** Checked before each piece that is passed on, except for a websocket; false ends the passage. */
  readonly permits: () => boolean;
}

/**
 * Passes bytes between a client and Jupyter until both have ended. Each side may end its half first, a slow
 * side delays the other, and a failure of one ends both. The data are not parsed, except to detect that
 * Jupyter has switched the connection to a websocket.
 */
export class Passage {
  /** It is a websocket now. */
  upgraded = false;
  private last: { readonly by: 'client' | 'jupyter'; readonly at: number };

  constructor(private readonly options: PassageOptions) {
    const { client, socket } = options;
    this.last = { by: 'client', at: performance.now() };
    const upstream = connect({ path: socket, allowHalfOpen: true });
    this.pass(client, upstream, 'client');
    this.pass(upstream, client, 'jupyter');
    client.on('close', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
    // What Jupyter wrote before it closed is still on its way.
    upstream.on('close', () => client.destroySoon());
  }

  /** When Jupyter's last byte arrived; undefined while (part of) its response is awaited or on its way. */
  get idleSince(): number | undefined {
    const busy = this.last.by === 'client' || this.options.client.writableLength > 0;
    return busy ? undefined : this.last.at;
  }

  private pass(from: Socket, to: Socket, by: 'client' | 'jupyter'): void {
    from.on('data', (chunk: Buffer) => {
      if (by === 'jupyter' && chunk.subarray(0, switching.length).equals(switching)) this.upgraded = true;
      if (!this.upgraded && !this.options.permits()) {
        this.options.client.destroy();
        return;
      }
      this.last = { by, at: performance.now() };
      if (to.write(chunk)) return;
      from.pause();
      to.once('drain', () => from.resume());
    });
    from.on('end', () => to.end());
  }
}
