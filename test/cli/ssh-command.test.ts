import { describe, expect, it } from 'vitest';
import { sshArguments } from '../../src/cli/ssh-command.js';
import { makeHost } from '../support/spec.js';

/** Values of `-o NAME=VALUE`. */
function options(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    words
      .filter((_word, index) => words[index - 1] === '-o')
      .map((option) => [option.slice(0, option.indexOf('=')), option.slice(option.indexOf('=') + 1)]),
  );
}

describe('sshArguments', () => {
  it('uses only the spec’s key, and its known hosts strictly', () => {
    const host = makeHost('h1', {
      ssh: {
        address: 'h1.example.org',
        port: 2200,
        user: 'ops',
        agent: false,
        keyFile: '/keys/a b%c',
        knownHostsFile: '/known',
      },
    });
    const words = sshArguments(host, '/pins', { tty: true });
    expect(options(words)).toEqual({
      User: 'ops',
      Port: '2200',
      UserKnownHostsFile: '"/known"',
      GlobalKnownHostsFile: 'none',
      StrictHostKeyChecking: 'yes',
      HashKnownHosts: 'no',
      IdentityFile: '"/keys/a b%%c"',
      IdentitiesOnly: 'yes',
    });
    expect(words.slice(-2)).toEqual(['-t', 'h1.example.org']);
  });

  it('pins a key on first contact, as workers do', () => {
    const host = makeHost('h1', { ssh: { address: '10.0.0.1', port: 22, user: 'root', agent: true } });
    const words = sshArguments(host, '/pins', { tty: false, command: 'exec tail -F log' });
    expect(options(words)).toMatchObject({
      UserKnownHostsFile: '"/pins/10.0.0.1_22"',
      StrictHostKeyChecking: 'accept-new',
    });
    expect(options(words)).not.toHaveProperty('IdentityFile');
    expect(words.slice(-3)).toEqual(['-T', '10.0.0.1', 'exec tail -F log']);
  });

  it('uses a jump host with its own key and known hosts', () => {
    const host = makeHost('h1', {
      jump: {
        address: 'gate',
        port: 2022,
        user: 'gate',
        agent: false,
        keyFile: "/keys/it's",
        knownHostsFile: '/known',
      },
    });
    const { ProxyCommand } = options(sshArguments(host, '/pins', { tty: true }));
    expect(ProxyCommand).toMatch(/^ssh -o User=gate -o Port=2022 /);
    expect(ProxyCommand).toContain(`-o 'IdentityFile="/keys/it'\\''s"'`);
    expect(ProxyCommand).toMatch(/ -W '\[%h\]:%p' gate$/);
  });
});
