import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nameOfHost } from '../../src/cluster/certificate.js';
import { readKeyAndCertificates } from '../../src/cluster/certificate-files.js';
import { parseSpec } from '../../src/cluster/load.js';
import type { ProxyTlsFiles } from '../../src/cluster/spec.js';
import { makeAuthority, type TestAuthority } from '../support/certificates.js';
import { cli } from '../support/cli.js';

let authority: TestAuthority;
let good: ProxyTlsFiles;
let other: ProxyTlsFiles;

beforeAll(() => {
  authority = makeAuthority();
  good = authority.issue('good', { names: 'DNS:h1.example.org,DNS:*.lab.example.org,IP:10.0.0.2' });
  other = authority.issue('other');
});
afterAll(() => authority?.remove());

const inDir = (name: string) => path.join(authority.dir, name);

function write(name: string, text: string): string {
  writeFileSync(inDir(name), text);
  return inDir(name);
}

/** Line 11 has the certificate, and line 12 the key. */
const specText = ({ certificateFile, keyFile }: ProxyTlsFiles) => `name: demo
hosts:
  - { name: h1, address: 127.26.9.1, hostname: h1.example.org }
mesos:
  install: { path: /usr/local }
network: { subnet: 192.168.0.0/24 }
storage: { path: /srv/notebooks }
nodes: { containerizer: mesos, count: 1, allowMajorityOnOneHost: true }
proxy:
  tls:
    certificate: ${certificateFile}
    key: ${keyFile}
`;

/** `LINE message` and the remedy of what is wrong. */
function problemOf(files: ProxyTlsFiles): { readonly at: string; readonly remedy: string } | undefined {
  const { problems } = parseSpec(specText(files), 'cluster.yaml', '/home/ann', { files: true });
  expect(problems.length).toBeLessThan(2);
  const [problem] = problems;
  if (problem === undefined) return undefined;
  expect(problem.code).toBe('SPEC_CERTIFICATE');
  return { at: `${problem.line} ${problem.message}`, remedy: problem.remedy };
}

describe('the files for HTTPS', () => {
  test('are fine with a certificate, its issuer and its key, also in one file', () => {
    expect(problemOf(good)).toBeUndefined();
    const both = write(
      'both.pem',
      readFileSync(good.keyFile, 'utf8') + readFileSync(good.certificateFile, 'utf8'),
    );
    expect(problemOf({ certificateFile: both, keyFile: both })).toBeUndefined();
    expect(readKeyAndCertificates({ certificateFile: both, keyFile: both })).toContain('BEGIN PRIVATE KEY');
  });

  test('are not read where nobody asks to', () => {
    const text = specText({ certificateFile: '/absent.pem', keyFile: '/absent-key.pem' });
    expect(parseSpec(text, 'cluster.yaml').problems).toEqual([]);
  });

  test('are refused if one is missing or cannot be read', () => {
    expect(problemOf({ ...good, certificateFile: inDir('absent.pem') })?.at).toBe(
      `11 ${inDir('absent.pem')} does not exist`,
    );
    expect(problemOf({ ...good, keyFile: inDir('absent.pem') })?.at).toBe(
      `12 ${inDir('absent.pem')} does not exist`,
    );
    expect(problemOf({ ...good, keyFile: authority.dir })?.at).toMatch(/^12 .* cannot be read: EISDIR/);
  });

  test('are refused if the key does not fit', () => {
    const found = problemOf({ ...good, keyFile: other.keyFile });
    expect(found?.at).toBe(`12 ${other.keyFile} does not fit the certificate of CN=good`);
    expect(found?.remedy).toContain('Name the key');
  });

  test('are refused if the issuer comes first', () => {
    const [leaf = '', issuer = ''] = readFileSync(good.certificateFile, 'utf8').split(
      /(?<=-----END CERTIFICATE-----\n)/,
    );
    const certificateFile = write('reversed.pem', issuer + leaf);
    expect(problemOf({ ...good, certificateFile })?.at).toBe(
      `11 ${certificateFile} begins with CN=Test authority, and the key belongs to CN=good`,
    );
  });

  test('are refused before and after their time, the issuer too', () => {
    const past = authority.issue('past', { from: '20200101000000Z', to: '20210101000000Z' });
    expect(problemOf(past)).toEqual({
      at: `11 ${past.certificateFile} expired on 2021-01-01`,
      remedy: 'Renew it, then run `perijove up`.',
    });
    const future = authority.issue('future', { from: '20960101000000Z', to: '20970101000000Z' });
    expect(problemOf(future)?.at).toBe(`11 ${future.certificateFile} is not valid before 2096-01-01`);
    const [leaf = ''] = readFileSync(good.certificateFile, 'utf8').split(/(?<=-----END CERTIFICATE-----\n)/);
    const certificateFile = write('under-past.pem', leaf + readFileSync(past.certificateFile, 'utf8'));
    expect(problemOf({ ...good, certificateFile })?.at).toBe(
      `11 ${certificateFile} holds the issuer CN=past, which expired on 2021-01-01`,
    );
  });

  test.each([
    ['PKCS#8', ['pkcs8', '-topk8', '-v2', 'aes-256-cbc']],
    ['PEM', ['ec', '-aes256']],
  ])('are refused if the key is encrypted (%s)', (format, command) => {
    const keyFile = inDir(`encrypted-${format.replace('#', '')}.pem`);
    execFileSync('openssl', [...command, '-in', good.keyFile, '-out', keyFile, '-passout', 'pass:secret'], {
      stdio: 'pipe',
    });
    const found = problemOf({ ...good, keyFile });
    expect(found?.at).toBe(`12 ${keyFile} is encrypted with a passphrase`);
    expect(found?.remedy).toContain('openssl pkey');
  });

  test('are refused if they hold something else', () => {
    expect(problemOf({ ...good, certificateFile: good.keyFile })?.at).toBe(
      `11 ${good.keyFile} holds no certificate`,
    );
    expect(problemOf({ ...good, keyFile: good.certificateFile })?.at).toBe(
      `12 ${good.certificateFile} holds no private key`,
    );
    const begin = (kind: string) => `-----BEGIN ${kind}-----\nAAAA\n-----END ${kind}-----\n`;
    expect(problemOf({ ...good, certificateFile: write('bad.pem', begin('CERTIFICATE')) })?.at).toMatch(
      /^11 .*bad.pem cannot be read: /,
    );
    expect(problemOf({ ...good, keyFile: write('bad-key.pem', begin('PRIVATE KEY')) })?.at).toMatch(
      /^12 .*bad-key.pem cannot be read: /,
    );
  });

  test('on another machine are reported with that machine', () => {
    const files = { ...good, keyFile: inDir('absent.pem') };
    expect(() => readKeyAndCertificates(files)).toThrowError(
      expect.objectContaining({
        code: 'SPEC_CERTIFICATE',
        message: expect.stringMatching(/^on \S+: .*absent.pem does not exist$/) as string,
        remedy: expect.stringContaining('Workers read both files') as string,
        place: { file: files.keyFile },
      }) as Error,
    );
  });
});

test('`check`, `plan` and `up` refuse a key that does not fit before they connect to anything', async () => {
  const spec = write('cluster.yaml', specText({ ...good, keyFile: other.keyFile }));
  for (const verb of ['check', 'plan', 'up']) {
    // Nobody listens there: whoever connected first would report that instead.
    const { code, stderr } = await cli([verb, spec]);
    expect(stderr).toContain('SPEC_CERTIFICATE');
    expect(stderr).toContain(':12:');
    expect(stderr).toContain('does not fit the certificate of CN=good');
    expect(stderr).not.toContain('BEGIN');
    expect(code).toBe(2);
  }
});

test('`check` says until when the certificate is valid, and asks for a new one in the last 30 days', async () => {
  const day = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();
  const stamp = (days: number) => `${day(days).slice(0, 19).replace(/[-:T]/g, '')}Z`;
  const check = async (files: ProxyTlsFiles, ...options: string[]) =>
    (await cli(['check', write('cluster.yaml', specText(files)), ...options])).stdout;
  const late = authority.issue('late', { to: stamp(3) });
  const ends = (days: number) =>
    `The certificate for HTTPS ends in ${days - 1} days, on ${day(days).slice(0, 10)}.`;
  expect(await check(late)).toContain(`${ends(3)} Renew it, then run \`perijove up\`.`);
  expect(JSON.parse(await check(late, '--json'))).toMatchObject({
    certificate: { state: 'ending' },
    certificateValidUntil: expect.stringMatching(`^${day(3).slice(0, 10)}T`) as string,
  });
  const long = authority.issue('long', { to: stamp(90) });
  const [leaf = ''] = readFileSync(long.certificateFile, 'utf8').split(/(?<=-----END CERTIFICATE-----\n)/);
  const certificateFile = write('leaf.pem', leaf);
  const text = await check({ ...long, certificateFile });
  expect(text).toContain(ends(90));
  expect(text).not.toContain('Renew it');
  const past = authority.issue('past', { from: stamp(-9), to: stamp(-1) });
  const expired = await cli(['check', write('cluster.yaml', specText(past))]);
  expect(expired.code).toBe(2);
  expect(expired.stderr).toContain(`expired on ${day(-1).slice(0, 10)}`);
  expect(expired.stderr).toContain('SPEC_CERTIFICATE');
});

test('a browser accepts the name or the address of a host that the certificate has', () => {
  const certificate = readFileSync(good.certificateFile, 'utf8');
  const names = [
    { hostname: 'h1.example.org', address: '10.0.0.1' },
    { hostname: 'h2.lab.example.org', address: '10.0.0.9' },
    { hostname: '10.0.0.2', address: '10.0.0.2' },
    { hostname: 'h3.example.org', address: '10.0.0.3' },
  ].map((host) => nameOfHost(certificate, host));
  expect(names).toEqual(['h1.example.org', 'h2.lab.example.org', '10.0.0.2', undefined]);
});
