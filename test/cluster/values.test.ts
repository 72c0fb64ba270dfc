/** What a value may be, tried with thousands of hostile ones and a real shell. */
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { invisibleIn } from '../../src/cluster/characters.js';
import { parseSpec } from '../../src/cluster/load.js';
import {
  asciiPath,
  debianPackage,
  executable,
  flagName,
  flagValue,
  hostIpv4,
  hostPath,
  image,
  ipv4,
  line,
  linkName,
  localPath,
  mesosRole,
  name,
  reachable,
  sha256,
  size,
  sshAddress,
  subnet,
  url,
  word,
  zkPath,
} from '../../src/cluster/values.js';
import { quote } from '../../src/ssh/shell.js';

/** Of characters without a meaning for shells. */
const plain = {
  ...{ asciiPath, debianPackage, executable, flagName, hostIpv4, hostPath, image, ipv4, linkName, name },
  ...{ reachable, sha256, size, sshAddress, subnet, word, zkPath },
};
/** Everything else that a person writes. */
const free = { flagValue, line, localPath, mesosRole, url };

const examples = [
  'abc',
  '/opt/a',
  '10.0.0.1',
  '10.0.0.0/24',
  '2MiB',
  'fe80::1%e0',
  'https://a/b',
  'a'.repeat(64),
];
const special = '&|()<>*?#~;$`\'"\\{}[]!%^=,:@+ \t\n\r\u0007\u001b\u200b\u00a0é笔-._/0a'.split('');
const hostile = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.constantFrom('.', '..', '/..', '/a/../b', '-n', '--', '~', '~root', '$(id)', '*'),
  },
  { weight: 3, arbitrary: fc.string({ unit: fc.constantFrom(...special), maxLength: 8 }) },
  {
    weight: 6,
    // A valid value with something inserted, most often one character.
    arbitrary: fc
      .tuple(
        fc.constantFrom(...examples),
        fc.nat(64),
        fc.string({ unit: fc.constantFrom(...special), maxLength: 3 }),
      )
      .map(([example, at, inserted]) => example.slice(0, at) + inserted + example.slice(at)),
  },
);
const samples = fc.sample(hostile, { numRuns: 6_000, seed: 15 });

/** As the loader does: of free text, too, it refuses what nobody sees. */
const accepts = (schema: z.ZodType, value: string, lines = false) =>
  z.safeParse(schema, value).success && invisibleIn(value, { lines }) === undefined;
const acceptedBy = (schema: z.ZodType) =>
  samples.filter((value) => accepts(schema, value, schema === flagValue));

/** The words that a shell makes of these. */
function wordsOf(written: readonly string[], shell = 'sh'): string[] {
  const script = `printf '%s\\0' ${written.join(' ')}`;
  // In a directory with files, `*` would be one of them.
  const output = execFileSync(shell, ['-s'], { input: script, cwd: import.meta.dirname });
  return output.toString().split('\0').slice(0, -1);
}

describe('a path, a name or an address', () => {
  it.each(Object.entries(plain))('is the same word with and without quotes: %s', (_kind, schema) => {
    const accepted = acceptedBy(schema);
    expect(accepted.length).toBeGreaterThan(20);
    for (const shell of ['sh', 'bash']) {
      expect(wordsOf(accepted, shell)).toEqual(accepted);
      expect(wordsOf(accepted.map(quote), shell)).toEqual(accepted);
    }
  });

  it.each(Object.entries(plain))('has none of the characters that shells interpret: %s', (_kind, schema) => {
    const interpreted = /[&|()<>*?#;$`'"\\{}[\]!^\s\p{Cc}\p{Cf}]|^[~-]/u;
    expect(acceptedBy(schema).filter((value) => interpreted.test(value))).toEqual([]);
  });
});

describe('any other value', () => {
  it.each(Object.entries(free))('arrives as it is written when it is quoted: %s', (_kind, schema) => {
    const accepted = acceptedBy(schema);
    expect(accepted.length).toBeGreaterThan(20);
    expect(wordsOf(accepted.map(quote))).toEqual(accepted);
  });
});

describe('quote', () => {
  it('passes any text but NUL through a shell, and through a shell in a shell', () => {
    expect(wordsOf(samples.map(quote))).toEqual(samples);
    for (let at = 0; at < samples.length; at += 1_000) {
      const some = samples.slice(at, at + 1_000);
      const inner = `printf '%s\\0' ${some.map(quote).join(' ')}`;
      const output = execFileSync('sh', ['-s'], { input: `sh -c ${quote(inner)}` });
      expect(output.toString().split('\0').slice(0, -1)).toEqual(some);
    }
  });
});

const withDir = (dir: string) => `name: demo
ssh: { user: root }
hosts:
  - name: h1
    address: 10.0.0.1
    dir: ${dir}
  - { name: h2, address: 10.0.0.2 }
  - { name: h3, address: 10.0.0.3 }
mesos: { install: lab }
network: { subnet: 192.168.0.0/24 }
storage: { path: /srv/notebooks }
nodes: { containerizer: mesos }
`;

describe('a bad path', () => {
  it('is one error with its place, and a good one is what the spec has', () => {
    let refused = 0;
    for (const value of samples.slice(0, 1_500)) {
      const text = withDir(JSON.stringify(value));
      const { spec, problems } = parseSpec(text, '/c/cluster.yaml', '/home/ann');
      const places = problems.map(({ code, line: at, column }) => `${code} ${at}:${column}`);
      if (accepts(asciiPath, value)) {
        expect([value, places]).toEqual([value, []]);
        expect(spec?.hosts[0]?.dir).toBe(value.replace(/\/$/, ''));
      } else {
        expect([value, places]).toEqual([value, ['SPEC_BAD_VALUE 6:10']]);
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(1_000);
  });
});
