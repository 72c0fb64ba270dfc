import { describe, expect, it } from 'vitest';
import { headBytes, headWithoutUpgrade } from '../../../src/proxy/program/headers.js';

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

describe('headBytes', () => {
  it('counts the request line, every header and the empty line', () => {
    expect(headBytes(request('Host', 'a', 'X', 'b'))).toBe(
      'GET /é?a=b HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\n'.length,
    );
  });
});
