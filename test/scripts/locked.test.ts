import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';

/** What the check reports of this repository with one file changed. */
async function faults(file: string, change: (text: string) => string): Promise<string> {
  const directory = mkdtempSync(path.join(tmpdir(), 'perijove-locked-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  for (const part of ['package-lock.json', 'requirements', 'images/node']) {
    cpSync(part, path.join(directory, part), { recursive: true });
  }
  const changed = path.join(directory, file);
  writeFileSync(changed, change(readFileSync(changed, 'utf8')));
  return promisify(execFile)(process.execPath, ['scripts/locked.js', directory]).then(
    () => '',
    ({ stderr }: { stderr: string }) => stderr,
  );
}

const jupyter = 'images/node/requirements.txt';

describe('the check of locked packages', () => {
  it('passes what the repository has', async () => {
    expect(await faults(jupyter, (text) => text)).toBe('');
  });

  it.each([
    [
      'an npm package without a hash',
      /^ +"integrity": .*\n/m,
      '',
      /^package-lock.json: node_modules\/\S+ has no sha512$/m,
    ],
    [
      'an npm package with a weak hash',
      /"integrity": "sha512-.*"/,
      '"integrity": "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="',
      /has no sha512$/m,
    ],
    [
      'an npm package that names a server',
      /"integrity"/,
      '"resolved": "https://packages.example.org/x.tgz", "integrity"',
      /names the server https:\/\/packages\.example\.org/,
    ],
  ])('finds %s', async (_what, part, instead, expected) => {
    expect(await faults('package-lock.json', (text) => text.replace(part, instead))).toMatch(expected);
  });

  it.each([
    ['a Python package without a hash', /(^anyio.*\n)( +--hash.*\n)+/m, '$1', /anyio==\S+ has no hash/],
    ['a Python package without a licence', /^ +# licence: .*\n/m, '', /anyio==\S+ has no licence/],
    ['a Python package without a version', /^anyio==/m, 'anyio>=', /unexpected line: anyio>=/],
    ['a removed Python package', /^anyio[^]*?\n(?=\w)/m, '', /: \d+ packages, not \d+$/m],
    [
      'the address of an index',
      /^anyio/m,
      '--index-url https://packages.example.org\nanyio',
      /unexpected line: --index-url/,
    ],
    [
      'a weak hash',
      /--hash=sha256:\w+/,
      '--hash=md5:d41d8cd98f00b204e9800998ecf8427e',
      /unexpected line: +--hash=md5/,
    ],
  ])('finds %s', async (_what, part, instead, expected) => {
    expect(await faults(jupyter, (text) => text.replace(part, instead))).toMatch(expected);
  });
});
