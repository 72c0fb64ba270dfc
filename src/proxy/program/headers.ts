import type { IncomingHttpHeaders } from 'node:http';

/** Headers that concern one connection and never pass a proxy (RFC 9110, 7.6.1). */
const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'upgrade',
];

/** Takes away the headers of this hop, in place, with those that `Connection` names. */
export function dropHopByHop(headers: IncomingHttpHeaders): void {
  const named = (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase());
  for (const name of [...hopByHop, ...named]) {
    // The framing of the body belongs to Node: it must know how long the body is.
    if (name !== 'transfer-encoding' && name !== 'content-length') delete headers[name];
  }
}

/** Whether `Connection` has the option. */
export function hasConnectionOption(headers: IncomingHttpHeaders, option: string): boolean {
  return (headers.connection ?? '').split(',').some((name) => name.trim().toLowerCase() === option);
}

/** Whether a person's browser wants a page, rather than a program an answer. */
export function wantsPage(path: string, headers: IncomingHttpHeaders): boolean {
  return !/^\/api(\/|\?|$)/.test(path) && (headers.accept ?? '').includes('text/html');
}

/**
 * The path, where it is one of Perijove itself; undefined for a path of Jupyter. The address is read as the
 * library and the gate read it: `/x/../.perijove/gate` is one of them too.
 */
export function ownPath(url: string): string | undefined {
  let path: string;
  try {
    const base = 'http://base.invalid';
    path = new URL(url.startsWith('//') ? `${base}${url}` : url, base).pathname;
    path = decodeURIComponent(path);
  } catch {
    // What cannot be read is no address of ours.
    return undefined;
  }
  path = path.replace(/^\/+/, '/');
  return /^\/\.perijove(\/|$)/i.test(path) ? path : undefined;
}
