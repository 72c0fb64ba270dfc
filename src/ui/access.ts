/** Who may read the status page: the rules, apart from the server that applies them. Pure but for hashes. */
import { createHash } from 'node:crypto';
import { isSameSecret } from '../net/same-secret.js';

/** Of a request, what decides whether it is answered. Header names as Node.js gives them: in lower case. */
export interface Knock {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

export interface Door {
  /** Without it, nothing of the cluster is shown. */
  readonly token: string;
  /** `http` or `https`. */
  readonly scheme: 'http' | 'https';
  /** Where it listens. */
  readonly port: number;
  /** Names and addresses by which browsers reach it; any other `Host` is refused, against DNS rebinding. */
  readonly names: readonly string[];
}

export type Admission =
  | { readonly kind: 'admitted' }
  /** The token was right: set the cookie, and go on at an address without it. */
  | { readonly kind: 'login'; readonly cookie: string; readonly location: string }
  /** A page of another site led here, so the browser kept the cookie back: lead here once more, from here. */
  | { readonly kind: 'again' }
  | { readonly kind: 'refused'; readonly status: 400 | 401 | 403 | 405; readonly why: string };

const tokenParameter = 'token';

/** The address that logs a browser in. */
export function loginUrl(origin: string, token: string): string {
  return `${origin}/?${tokenParameter}=${encodeURIComponent(token)}`;
}

/** Decides about one request. Compares secrets in constant time. */
export function admit(door: Door, { method, url, headers }: Knock): Admission {
  const header = (name: string) => {
    const value = headers[name];
    return typeof value === 'string' ? value : undefined;
  };
  const host = header('host') ?? '';
  const hosts = door.names.map((name) => authority(name, door));
  if (!hosts.includes(host.toLowerCase())) return refused(403, `this server is not ${host || 'named'}`);
  const origin = header('origin');
  if (origin !== undefined && origin !== `${door.scheme}://${host.toLowerCase()}`)
    return refused(403, `pages of ${origin} get no answer`);
  if (method !== 'GET' && method !== 'HEAD') return refused(405, 'this server only answers GET');
  if (!url.startsWith('/') || !URL.canParse(url, 'http://page')) return refused(400, 'not a path');

  const { pathname, searchParams } = new URL(url, 'http://page');
  const site = header('sec-fetch-site');
  const isPage = pathname === '/';
  const given = searchParams.get(tokenParameter);
  if (isPage && given !== null) {
    if (!isSameSecret(given, door.token)) return refused(401, 'the token is wrong');
    return { kind: 'login', cookie: cookieHeader(door), location: '/' };
  }
  if (site === 'cross-site' && !isPage) return refused(403, 'pages of other sites get no answer');
  if (isKnown(door, header('cookie'), header('authorization'))) return { kind: 'admitted' };
  if (isPage && site === 'cross-site') return { kind: 'again' };
  return refused(401, 'a token is needed');
}

function refused(status: 400 | 401 | 403 | 405, why: string): Admission {
  return { kind: 'refused', status, why };
}

function isKnown(door: Door, cookies: string | undefined, authorization: string | undefined): boolean {
  if (authorization !== undefined && isSameSecret(authorization, `Bearer ${door.token}`)) return true;
  const name = cookieName(door);
  const values = (cookies ?? '').split(';').flatMap((pair) => {
    const [key, value] = pair.trim().split('=');
    return key === name && value !== undefined ? [value] : [];
  });
  return values.some((value) => isSameSecret(value, cookieValue(door)));
}

/** Browsers send a cookie to every port of an address, so its name tells which page it is for. */
function cookieName({ port }: Door): string {
  return `perijove-ui-${port}`;
}

/** Not the token itself, and the same after a restart. */
function cookieValue({ token }: Door): string {
  return createHash('sha256').update(`perijove ui cookie ${token}`).digest('base64url');
}

function cookieHeader(door: Door): string {
  const secure = door.scheme === 'https' ? '; Secure' : '';
  return `${cookieName(door)}=${cookieValue(door)}; Path=/; HttpOnly; SameSite=Strict${secure}`;
}

/** As browsers write it in `Host`: without a default port. */
function authority(name: string, { scheme, port }: Pick<Door, 'scheme' | 'port'>): string {
  const shown = name.includes(':') ? `[${name}]` : name;
  return port === (scheme === 'https' ? 443 : 80) ? shown.toLowerCase() : `${shown.toLowerCase()}:${port}`;
}
