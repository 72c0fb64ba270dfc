import { Socket } from 'node:net';
import type { UserIds } from '../../cluster/spec.js';
import { messageOf } from '../../errors/error.js';
import { doorAt } from './user.js';

/** The beginning of the response that switches to a websocket. */
const switching = Buffer.from('HTTP/1.1 101');

/** How long a client that still sends after Jupyter has closed may take to read the response. */
const lingerMs = 5_000;

export interface PassageOptions {
  readonly client: Socket;
  /** Path of the Unix socket that receives everything. */
  readonly socket: string;
  /** Whose socket it must be; absent: it is not checked. */
  readonly owner?: UserIds | undefined;
  /** A connection to that socket, if there is one already. */
  readonly upstream?: JupyterSocket;
  /** Checked before each piece that is passed on, except for a websocket; false ends the passage. */
  readonly permits: () => boolean;
}

/**
 * Passes bytes between a client and Jupyter until both have ended. Each side may end its half first, a slow
 * side delays the other, and a failure of one ends both. The data are not parsed, except to detect that
 * Jupyter has switched the connection to a websocket.
 *
 * Jupyter responds to a request that is too large and closes the connection while the client still sends: the
 * response is passed on, and the rest of the request is discarded.
 */
export class Passage {
  /** It is a websocket now. */
  upgraded = false;
  private answered = false;
  private over = false;
  private last: { readonly by: 'client' | 'jupyter'; readonly at: number };

  constructor(private readonly options: PassageOptions) {
    const { client, socket, owner } = options;
    this.last = { by: 'client', at: performance.now() };
    const upstream = options.upstream ?? connectToJupyter(socket, owner);
    this.pass(client, upstream, 'client');
    this.pass(upstream, client, 'jupyter');
    client.on('close', () => upstream.destroy());
    upstream.on('error', () => {
      if (!this.answered || this.upgraded) client.destroy();
    });
    // What Jupyter wrote before it closed is still on its way.
    upstream.on('close', () => {
      this.over = true;
      if (this.upgraded || client.readableEnded) client.destroySoon();
      else linger(client);
    });
  }

  /** When Jupyter's last byte arrived; undefined while (part of) its response is awaited or on its way. */
  get idleSince(): number | undefined {
    const busy = this.last.by === 'client' || this.options.client.writableLength > 0;
    return busy ? undefined : this.last.at;
  }

  private pass(from: Socket, to: Socket, by: 'client' | 'jupyter'): void {
    from.on('data', (chunk: Buffer) => {
      if (this.over && by === 'client') return;
      if (by === 'jupyter') this.answered = true;
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

/** Closing a socket with unread data resets the connection, which may lose the response. */
function linger(client: Socket): void {
  client.end();
  client.resume();
  const timer = setTimeout(() => client.destroy(), lingerMs);
  client.once('close', () => clearTimeout(timer));
}

type Written = (error?: Error | null) => void;

/** @param owner whose socket it must be; undefined: it is not checked */
export function connectToJupyter(socket: string, owner: UserIds | undefined): JupyterSocket {
  const upstream = new JupyterSocket({ allowHalfOpen: true });
  try {
    const door = doorAt(socket, owner);
    upstream.once('connect', door.close).once('close', door.close);
    upstream.connect({ path: door.path });
  } catch (error) {
    upstream.destroy(error instanceof Error ? error : new Error(messageOf(error)));
  }
  return upstream;
}

/** A connection whose peer may stop reading; the peer's response is read nevertheless. */
export class JupyterSocket extends Socket {
  private deaf = false;

  override _write(chunk: unknown, encoding: BufferEncoding, written: Written): void {
    if (this.deaf) written();
    else super._write(chunk, encoding, this.unlessDeaf(written));
  }

  override _writev(
    chunks: readonly { readonly chunk: unknown; readonly encoding: BufferEncoding }[],
    written: Written,
  ): void {
    if (this.deaf) written();
    else super._writev?.([...chunks], this.unlessDeaf(written));
  }

  private unlessDeaf(written: Written): Written {
    return (error) => {
      const { code } = (error ?? {}) as NodeJS.ErrnoException;
      this.deaf = code === 'EPIPE' || code === 'ECONNRESET';
      written(this.deaf ? null : error);
    };
  }
}
