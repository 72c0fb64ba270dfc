import http from 'node:http';
import type { Socket } from 'node:net';
import { jupyterAuthority, kernelsHeader, type KernelsHeader } from '../../../node/kernels.js';
import { PreparedAgent } from '../agents.js';

/** What a node's control port answers to whoever wants to reach its Jupyter. */
export type Entry =
  | { readonly kind: 'entered'; readonly jupyter: Socket }
  /** Its Jupyter does not listen, and has no kernels. */
  | { readonly kind: 'no-kernels' }
  /** It may have kernels. */
  | { readonly kind: 'refused'; readonly status: number | undefined }
  | { readonly kind: 'silent' }
  /** An earlier release ends the connection without a word, and so does a node that dies. */
  | { readonly kind: 'no-door'; readonly why: string };

/** Never rejects. Unless it leads to Jupyter, the connection is ended. */
export async function enterDoor(socket: Socket, token: string, withinMs: number): Promise<Entry> {
  const entry = await new Promise<Entry>((resolve) => {
    const timer = setTimeout(() => resolve({ kind: 'silent' }), withinMs);
    const end = (found: Entry): void => {
      clearTimeout(timer);
      resolve(found);
    };
    const request = http.request({
      method: 'CONNECT',
      path: jupyterAuthority,
      headers: { host: jupyterAuthority, authorization: `Bearer ${token}` },
      agent: new PreparedAgent(socket),
    });
    request.once('connect', ({ statusCode: status, headers }, jupyter: Socket) => {
      if (status === 200) {
        jupyter.on('error', () => jupyter.destroy());
        end({ kind: 'entered', jupyter });
      } else if (headers[kernelsHeader] === ('none' satisfies KernelsHeader)) end({ kind: 'no-kernels' });
      else end({ kind: 'refused', status });
    });
    request.on('error', (error) => end({ kind: 'no-door', why: error.message }));
    request.end();
  });
  if (entry.kind !== 'entered') socket.destroy();
  return entry;
}
