import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

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

/** Every line of the header, as it came. */
export function headerLines({ rawHeaders }: Pick<IncomingMessage, 'rawHeaders'>): [string, string][] {
  return Array.from({ length: rawHeaders.length / 2 }, (_, index) => [
    rawHeaders[2 * index] ?? '',
    rawHeaders[2 * index + 1] ?? '',
  ]);
}

/** Bytes of the request line and the header, as Jupyter counts them. */
export function headBytes(request: Pick<IncomingMessage, 'rawHeaders' | 'method' | 'url'>): number {
  const lines = headerLines(request).map(([name, value]) => name.length + value.length + ': \r\n'.length);
  const first = `${request.method ?? ''} ${request.url ?? ''} HTTP/1.1\r\n\r\n`.length;
  return lines.reduce((sum, bytes) => sum + bytes, first);
}

/**
 * The head of a request as it came, in Latin-1, without its wish for another protocol. A server may ignore that
 * (RFC 9110, 7.8).
 */
export function headWithoutUpgrade(
  request: Pick<IncomingMessage, 'rawHeaders' | 'method' | 'url' | 'httpVersion'>,
): string {
  const dropped = new Set(['upgrade', 'http2-settings']);
  const lines = headerLines(request).flatMap(([name, value]): string[] => {
    if (dropped.has(name.toLowerCase())) return [];
    if (name.toLowerCase() !== 'connection') return [`${name}: ${value}`];
    const options = value.split(',').map((option) => option.trim());
    const kept = options.filter((option) => !dropped.has(option.toLowerCase()));
    return kept.length === 0 ? [] : [`${name}: ${kept.join(', ')}`];
  });
  return [`${request.method} ${request.url} HTTP/${request.httpVersion}`, ...lines, '', ''].join('\r\n');
}
