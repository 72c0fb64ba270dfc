import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

/** Hop-by-hop headers, which a proxy never forwards (RFC 9110, 7.6.1). */
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

/** Removes hop-by-hop headers in place, including those named in `Connection`. */
export function dropHopByHop(headers: IncomingHttpHeaders): void {
  const named = (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase());
  for (const name of [...hopByHop, ...named]) {
    // Node handles the framing: it needs to know the body's length.
    if (name !== 'transfer-encoding' && name !== 'content-length') delete headers[name];
  }
}

/** Whether `Connection` contains the option. */
export function hasConnectionOption(headers: IncomingHttpHeaders, option: string): boolean {
  return (headers.connection ?? '').split(',').some((name) => name.trim().toLowerCase() === option);
}

/** Whether a browser requests a page, as opposed to a program. */
export function wantsPage(path: string, headers: IncomingHttpHeaders): boolean {
  return !/^\/api(\/|\?|$)/.test(path) && (headers.accept ?? '').includes('text/html');
}

/**
 * The path if it is one of Perijove's own; undefined for a path of Jupyter. Parsed like the library and the
 * gate do: `/x/../.perijove/gate` is one of them too.
 */
export function ownPath(url: string): string | undefined {
  let path: string;
  try {
    const base = 'http://base.invalid';
    path = new URL(url.startsWith('//') ? `${base}${url}` : url, base).pathname;
    path = decodeURIComponent(path);
  } catch {
    // An invalid URL is not one of ours.
    return undefined;
  }
  path = path.replace(/^\/+/, '/');
  return /^\/\.perijove(\/|$)/i.test(path) ? path : undefined;
}

/** The same address over HTTPS. `self` stands for a host that the request does not name. */
export function httpsAddress(
  { headers, url = '/' }: Pick<IncomingMessage, 'headers' | 'url'>,
  self: string,
): string {
  const { host = '' } = headers;
  const authority = /^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?$/.test(host) ? host : self;
  // The other form names the whole address, for proxies (RFC 9112, 3.2.2).
  const path = url.startsWith('/')
    ? url
    : URL.canParse(url)
      ? new URL(url).pathname + new URL(url).search
      : '/';
  return `https://${authority}${path}`;
}

/** The headers of a response, with cookies that a browser sends over HTTPS only. */
export function withSecureCookies(headers: IncomingHttpHeaders): void {
  const cookies = headers['set-cookie'];
  if (cookies === undefined) return;
  headers['set-cookie'] = cookies.map((each) =>
    /;\s*secure\s*(;|$)/i.test(each) ? each : `${each}; Secure`,
  );
}

/** All header lines as received. */
export function headerLines({ rawHeaders }: Pick<IncomingMessage, 'rawHeaders'>): [string, string][] {
  return Array.from({ length: rawHeaders.length / 2 }, (_, index) => [
    rawHeaders[2 * index] ?? '',
    rawHeaders[2 * index + 1] ?? '',
  ]);
}

/** Size of the request line and the headers, as Jupyter counts it. */
export function headBytes(request: Pick<IncomingMessage, 'rawHeaders' | 'method' | 'url'>): number {
  const lines = headerLines(request).map(([name, value]) => name.length + value.length + ': \r\n'.length);
  const first = `${request.method ?? ''} ${request.url ?? ''} HTTP/1.1\r\n\r\n`.length;
  return lines.reduce((sum, bytes) => sum + bytes, first);
}

/**
 * The request line and headers as received, in Latin-1, without the upgrade. A server may ignore it (RFC 9110, 7.8).
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
