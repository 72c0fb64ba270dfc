import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  fingerprint,
  keyType,
  knownAuthorities,
  knownHostName,
  knownHostsLine,
  knownKeys,
} from '../../src/ssh/known-hosts.js';

const base64 = 'AAAAC3NzaC1lZDI1NTE5AAAAIJ3dPmZcRBWz9zHkXAc6VzpaDmSTEXFrTtQZ3eGVOJZm';
const key = Buffer.from(base64, 'base64');
const line = (names: string) => `${names} ssh-ed25519 ${base64} a comment\n`;
const knows = (text: string, address: string, port = 22) =>
  knownKeys(text, knownHostName(address, port)).length > 0;

describe('knownKeys', () => {
  it('finds plain names, with their port unless it is 22', () => {
    expect(knows(line('h1,10.0.0.1'), '10.0.0.1')).toBe(true);
    expect(knows(line('h1,10.0.0.1'), '10.0.0.1', 2200)).toBe(false);
    expect(knows(line('[10.0.0.1]:2200'), '10.0.0.1', 2200)).toBe(true);
    expect(knows(line('[10.0.0.1]:2200'), '10.0.0.1')).toBe(false);
    expect(knows(line('Host.Example'), 'hOST.example')).toBe(true);
  });

  it('understands wildcards and negation', () => {
    expect(knows(line('10.0.0.*'), '10.0.0.77')).toBe(true);
    expect(knows(line('10.0.0.?'), '10.0.0.77')).toBe(false);
    expect(knows(line('*.example,!bad.example'), 'good.example')).toBe(true);
    expect(knows(line('*.example,!bad.example'), 'bad.example')).toBe(false);
    expect(knows(line('h.1'), 'hx1')).toBe(false);
  });

  it('understands hashed names', () => {
    const salt = Buffer.from('0123456789abcdefghij');
    const hash = createHmac('sha1', salt).update('[10.0.0.1]:2200').digest('base64');
    expect(knows(line(`|1|${salt.toString('base64')}|${hash}`), '10.0.0.1', 2200)).toBe(true);
    expect(knows(line(`|1|${salt.toString('base64')}|${hash}`), '10.0.0.1')).toBe(false);
    const hashed = `|1|${salt.toString('base64')}|${hash}`;
    expect(knownAuthorities(`@cert-authority ${line(hashed)}`, '[10.0.0.1]:2200')).toEqual([key]);
    expect(knows(line('|1|broken'), '10.0.0.1')).toBe(false);
  });

  it('skips comments, empty and invalid lines; keeps revocations and authorities apart', () => {
    const text = `# a comment\n\nh1\nh1 ssh-ed25519 AAAA\nh1 ssh-rsa ${base64}\n@cert-authority ${line('h1')}@revoked ${line('h1')}`;
    expect(knownKeys(text, 'h1')).toEqual([{ type: 'ssh-ed25519', key, revoked: true }]);
    expect(knownAuthorities(text, 'h1')).toEqual([key]);
    expect(knownAuthorities(text, 'h2')).toEqual([]);
  });

  it('parses the line that it writes', () => {
    expect(knownKeys(knownHostsLine('10.0.0.1', 2200, key), '[10.0.0.1]:2200')).toEqual([
      { type: 'ssh-ed25519', key, revoked: false },
    ]);
    expect(knownHostName('H1', 22)).toBe('h1');
  });
});

describe('keys', () => {
  it('have a type and a fingerprint', () => {
    expect(keyType(key)).toBe('ssh-ed25519');
    expect(keyType(Buffer.from('no key'))).toBeUndefined();
    expect(keyType(Buffer.alloc(0))).toBeUndefined();
    expect(fingerprint(key)).toMatch(/^SHA256:[\w+/]{43}$/);
  });
});
