import { describe, expect, it, test } from 'vitest';
import {
  headBytes,
  headWithoutUpgrade,
  httpsAddress,
  withSecureCookies,
} from '../../../src/proxy/program/headers.js';

const request = (...rawHeaders: string[]) => ({
  method: 'GET',
  url: '/é?a=b',
  httpVersion: '1.1',
  rawHeaders,
});

describe('headWithoutUpgrade', () => {
  it('leaves out the wish for another protocol, and nothing else', () => {
    const asked = request(
      'Host',
      'a',
      'X',
      ' b',
      'connection',
      'Upgrade, close, HTTP2-Settings',
      'UPGRADE',
      'h2c',
    );
    expect(
      headWithoutUpgrade({ ...asked, rawHeaders: [...asked.rawHeaders, 'HTTP2-Settings', 'c', 'X', 'd'] }),
    ).toBe('GET /é?a=b HTTP/1.1\r\nHost: a\r\nX:  b\r\nconnection: close\r\nX: d\r\n\r\n');
  });

  it('leaves out a Connection of which nothing is left', () => {
    expect(headWithoutUpgrade(request('Connection', 'upgrade', 'Upgrade', 'TLS/1.2'))).toBe(
      'GET /é?a=b HTTP/1.1\r\n\r\n',
    );
  });
});

describe('httpsAddress', () => {
  it.each([
    ['h1.example.org:8888', '/lab?a=b', 'https://h1.example.org:8888/lab?a=b'],
    ['[2001:db8::1]:8888', '//evil.example/x', 'https://[2001:db8::1]:8888//evil.example/x'],
    ['h1', 'http://h2/lab?a=b', 'https://h1/lab?a=b'],
    ['h1', '*', 'https://h1/'],
    [undefined, '/lab', 'https://10.0.0.1:8888/lab'],
    ['a@evil.example', '/lab', 'https://10.0.0.1:8888/lab'],
    ['evil.example/x', '/lab', 'https://10.0.0.1:8888/lab'],
  ])('of Host %s and %s is %s', (host, url, expected) => {
    expect(httpsAddress({ headers: { ...(host !== undefined && { host }) }, url }, '10.0.0.1:8888')).toBe(
      expected,
    );
  });
});

test('withSecureCookies adds the attribute where it is not', () => {
  const headers = { 'set-cookie': ['a=secure', 'b=1; Path=/;  SECURE', 'c=1; Secure; Path=/'] };
  withSecureCookies(headers);
  expect(headers['set-cookie']).toEqual(['a=secure; Secure', 'b=1; Path=/;  SECURE', 'c=1; Secure; Path=/']);
  const none = {};
  withSecureCookies(none);
  expect(none).toEqual({});
});

describe('headBytes', () => {
  it('counts the request line, every header and the empty line', () => {
    expect(headBytes(request('Host', 'a', 'X', 'b'))).toBe(
      'GET /é?a=b HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\n'.length,
    );
  });
});
