import { describe, expect, it } from 'vitest';
import { admit, loginUrl, type Door, type Knock } from '../../src/ui/access.js';

const door: Door = { token: 'secret', scheme: 'http', port: 8235, names: ['127.0.0.1', 'localhost'] };

const knock = (url: string, headers: Knock['headers'] = {}, method = 'GET'): Knock => ({
  ...{ method, url },
  headers: { host: '127.0.0.1:8235', ...headers },
});

/** What a browser sends after a login. */
function cookie(): string {
  const login = admit(door, knock('/?token=secret'));
  if (login.kind !== 'login') throw new Error('the token is right');
  return login.cookie.split(';')[0] ?? '';
}

describe('the door of the status page', () => {
  it('takes the token of a link once, and leads to an address without it', () => {
    const url = new URL(loginUrl('http://127.0.0.1:8235', 'secret'));
    const admission = admit(door, knock(url.pathname + url.search));
    expect(admission).toMatchObject({ kind: 'login', location: '/' });
    expect(admission).toHaveProperty(
      'cookie',
      expect.stringMatching(/^perijove-ui-8235=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/),
    );
    expect(cookie()).not.toContain('secret');
  });

  it('sends the cookie over TLS alone where there is TLS', () => {
    const admission = admit({ ...door, scheme: 'https' }, knock('/?token=secret'));
    expect(admission).toHaveProperty('cookie', expect.stringMatching(/; Secure$/));
  });

  it('opens with the cookie of the link, and with the token as a bearer', () => {
    expect(admit(door, knock('/', { cookie: `other=1; ${cookie()}` }))).toEqual({ kind: 'admitted' });
    expect(admit(door, knock('/metrics', { authorization: 'Bearer secret' }))).toEqual({ kind: 'admitted' });
  });

  it.each([
    ['no token', knock('/api/status')],
    ['a wrong token in the link', knock('/?token=guess')],
    ['an empty token in the link', knock('/?token=')],
    ['a wrong bearer', knock('/api/status', { authorization: 'Bearer guess' })],
    ['the token in place of the cookie', knock('/', { cookie: 'perijove-ui-8235=secret' })],
    ['the cookie of a page at another port', knock('/', { cookie: cookie().replace('8235', '8236') })],
    ['the token in the address of anything but the page', knock('/api/status?token=secret')],
  ])('stays shut with %s', (_what, request) => {
    expect(admit(door, request)).toMatchObject({ kind: 'refused', status: 401 });
  });

  it.each(['evil.example', '127.0.0.1', '127.0.0.1:8236', 'evil.example:8235', ''])(
    'refuses the host `%s`, though the token is right',
    (host) => {
      const request = knock('/', { host, authorization: 'Bearer secret' });
      expect(admit(door, request)).toMatchObject({ kind: 'refused', status: 403 });
    },
  );

  it('answers by each of its names', () => {
    for (const host of ['127.0.0.1:8235', 'localhost:8235', 'LOCALHOST:8235']) {
      expect(admit(door, knock('/', { host, cookie: cookie() }))).toEqual({ kind: 'admitted' });
    }
    const tls: Door = { ...door, scheme: 'https', port: 443, names: ['status.example'] };
    const named = knock('/', { host: 'status.example', authorization: 'Bearer secret' });
    expect(admit(tls, named)).toEqual({ kind: 'admitted' });
  });

  it.each(['http://127.0.0.1:8236', 'https://127.0.0.1:8235', 'http://evil.example', 'null'])(
    'refuses a request of a page of %s',
    (origin) => {
      const request = knock('/api/status', { origin, cookie: cookie() });
      expect(admit(door, request)).toMatchObject({ kind: 'refused', status: 403 });
    },
  );

  it('answers its own page', () => {
    const headers = { origin: 'http://127.0.0.1:8235', 'sec-fetch-site': 'same-origin', cookie: cookie() };
    expect(admit(door, knock('/api/events', headers))).toEqual({ kind: 'admitted' });
  });

  it('refuses what another site embeds, and loads again what another site links', () => {
    const foreign = { 'sec-fetch-site': 'cross-site' };
    expect(admit(door, knock('/api/status', { ...foreign, cookie: cookie() }))).toMatchObject({
      status: 403,
    });
    expect(admit(door, knock('/', foreign))).toEqual({ kind: 'again' });
    expect(admit(door, knock('/', { 'sec-fetch-site': 'same-origin' }))).toMatchObject({ status: 401 });
  });

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('only reads: it refuses %s', (method) => {
    expect(admit(door, knock('/', { cookie: cookie() }, method))).toMatchObject({ status: 405 });
  });
});
