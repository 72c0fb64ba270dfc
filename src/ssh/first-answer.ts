import type { Duplex } from 'node:stream';
import { PerijoveError } from '../errors/error.js';
import type { HostSpec } from '../cluster/spec.js';

/** How long to wait for one host before the next one is tried in parallel. */
const staggerMs = 250;

/**
 * Dials the hosts in order, the next one after 250 ms or as soon as one fails. Resolves with the first stream
 * and closes later ones. A refused connection ends the search: the address itself responded.
 */
export async function firstToAnswer(
  hosts: readonly HostSpec[],
  dial: (host: HostSpec) => Promise<Duplex>,
): Promise<{ host: HostSpec; stream: Duplex }> {
  return new Promise((resolve, reject) => {
    const waiting = [...hosts];
    let open = 0;
    let settled = false;

    const next = () => {
      const host = waiting.shift();
      if (settled || host === undefined) return;
      open += 1;
      let advanced = false;
      const advance = () => {
        if (!advanced) next();
        advanced = true;
      };
      const timer = setTimeout(advance, staggerMs);
      dial(host).then(
        (stream) => {
          clearTimeout(timer);
          if (settled) stream.destroy();
          settled = true;
          resolve({ host, stream });
        },
        (error: Error) => {
          clearTimeout(timer);
          open -= 1;
          if (isRefusal(error) || (open === 0 && waiting.length === 0)) {
            settled = true;
            reject(error);
          }
          advance();
        },
      );
    };
    next();
  });
}

function isRefusal(error: Error): boolean {
  return error instanceof PerijoveError && error.code === 'TUNNEL_REFUSED' && /refused/i.test(error.message);
}
