import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acceptedFiles, heldNames, type HeldName, type PrimarySecret } from '../../src/cluster/secrets.js';
import type { HostSpec } from '../../src/cluster/spec.js';
import { commitRotation, finishRotation, prepareRotation } from '../../src/deployment/rotate.js';
import { rotatable } from '../../src/deployment/rotation.js';
import { decideSecrets, lackingSecrets, makeSecret } from '../../src/deployment/secret-values.js';
import { authorityCertificates, isCurrent } from '../../src/cluster/issued.js';
import { writeSecrets } from '../../src/hosts/secret-files.js';
import { hostSecrets } from '../../src/hosts/secrets.js';
import type { HostConnection, SshPool } from '../../src/ssh/connection.js';
import { makeHost, makeSpec } from '../support/spec.js';

const { signal } = new AbortController();
let dir: string;
let hosts: readonly HostSpec[];
/** Scripts that may still run; the next one is cut. */
let left = Infinity;

beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'perijove-rotate-'));
  hosts = ['h1', 'h2'].map((name) => makeHost(name, { dir: path.join(dir, name) }));
  for (const host of hosts) mkdirSync(path.join(host.dir, 'etc/secrets'), { recursive: true });
  left = Infinity;
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const connectionTo = (host: HostSpec): HostConnection => {
  const run = (script: string): Promise<string> => {
    if (left <= 0) return Promise.reject(new Error('cut'));
    left -= 1;
    const input = `sync() { :; }\n${script}`;
    const { status, stdout, stderr } = spawnSync('sh', ['-s'], { input, encoding: 'utf8' });
    return status === 0 ? Promise.resolve(stdout) : Promise.reject(new Error(stderr));
  };
  return { host, run } as unknown as HostConnection;
};
const pool = { get: (host: HostSpec) => Promise.resolve(connectionTo(host)) } as unknown as SshPool;
const spec = () => makeSpec({ hosts: [...hosts] });

const held = () => Promise.all(hosts.map((host) => hostSecrets(connectionTo(host), heldNames)));
const valuesOf = async (name: HeldName) => (await held()).map(({ values }) => values[name]);

/** What the stage `secrets` of `up` does. */
async function up(): Promise<void> {
  for (;;) {
    const found = await held();
    const decision = decideSecrets(found, spec());
    if (decision.kind === 'make') {
      const { names, issuing } = decision;
      const made = await Promise.all(
        names.map(async (name) => [name, await makeSecret(name, spec(), issuing)] as const),
      );
      const [first] = hosts;
      if (first === undefined) return;
      await writeSecrets(connectionTo(first), Object.fromEntries(made), names, signal);
      continue;
    }
    for (const [index, host] of hosts.entries()) {
      const has = found[index];
      if (has === undefined) continue;
      const lacking = lackingSecrets(has, decision.secrets);
      const values = Object.fromEntries(lacking.map((name) => [name, decision.secrets[name]]));
      await writeSecrets(connectionTo(host), values, lacking, signal);
    }
    return;
  }
}

const order = (names: readonly PrimarySecret[]) => ({ pool, spec: spec(), names, signal });

/** The whole way. */
async function rotate(names: readonly PrimarySecret[]): Promise<void> {
  await prepareRotation(order(names));
  await up();
  await commitRotation(order(names));
  await up();
  await finishRotation(order(names));
  await up();
}

/** The same without the deployments. */
async function steps(names: readonly PrimarySecret[]): Promise<void> {
  await prepareRotation(order(names));
  await commitRotation(order(names));
  await finishRotation(order(names));
}

const filesOf = (host: HostSpec) => readdirSync(path.join(host.dir, 'etc/secrets')).toSorted();

describe('the replacement of secrets', () => {
  it('gives all hosts other values of all secrets, and leaves nothing else', async () => {
    await up();
    const before = await held();
    const files = hosts.map(filesOf);
    await rotate(rotatable);
    const after = await held();
    expect(hosts.map(filesOf)).toEqual(files);
    expect(after[0]?.values).toEqual(after[1]?.values);
    for (const name of rotatable) expect(after[0]?.values[name], name).not.toBe(before[0]?.values[name]);
    for (const name of ['etcd-member', 'etcd-client'] as const) {
      const { [name]: issued = '', 'etcd-authority': authority = '' } = after[0]?.values ?? {};
      expect(isCurrent(issued, authority, { names: [], addresses: [] }, new Date())).toBe(true);
    }
    expect(after[0]?.values['etcd-authority.crt']).toBe(
      authorityCertificates(after[0]?.values['etcd-authority'] ?? ''),
    );
  });

  it('trusts both authorities from before the new one issues until the old one has no certificate', async () => {
    await up();
    const [old = ''] = await valuesOf('etcd-authority');
    const trusts = async () =>
      (await valuesOf('etcd-authority.crt')).map((text = '') => text.split('-----BEGIN').length - 1);
    await prepareRotation(order(['etcd-authority']));
    await up();
    expect(await trusts()).toEqual([2, 2]);
    const [member = ''] = await valuesOf('etcd-member');
    expect(isCurrent(member, old, { names: [], addresses: [] }, new Date())).toBe(true);
    await commitRotation(order(['etcd-authority']));
    await up();
    expect(await trusts()).toEqual([2, 2]);
    const [reissued = ''] = await valuesOf('etcd-member');
    expect(isCurrent(reissued, old, { names: [], addresses: [] }, new Date())).toBe(false);
    await finishRotation(order(['etcd-authority']));
    await up();
    expect(await trusts()).toEqual([1, 1]);
  });

  it.each(['jupyter-token', 'node-api-token'] as const)(
    'of %s may be cut at every step: hosts still agree after `up`, and the same command continues',
    async (name) => {
      await up();
      const [old] = await valuesOf(name);
      cpSync(dir, `${dir}-before`, { recursive: true });
      let cuts = 0;
      for (let after = 0; ; after += 1) {
        rmSync(dir, { recursive: true });
        cpSync(`${dir}-before`, dir, { recursive: true });
        left = after;
        const cut = await steps([name]).then(
          () => false,
          (error: unknown) => {
            expect(error).toMatchObject({ message: 'cut' });
            return true;
          },
        );
        left = Infinity;
        if (!cut) break;
        cuts += 1;
        // At this moment and after `up`, each host accepts what any host sends.
        for (const settle of [false, true]) {
          if (settle) await up();
          const found = await held();
          if (name === 'node-api-token') {
            const sent = found.map(({ values }) => values[name]);
            for (const { values } of found) {
              const accepted = acceptedFiles(name).map((file) => values[file]);
              for (const token of sent) expect(accepted, `cut after ${after}`).toContain(token);
            }
          }
          if (settle) expect(new Set(found.map(({ values }) => values[name])).size).toBe(1);
        }
        await steps([name]);
        const [now, other] = await valuesOf(name);
        expect(now).toBe(other);
        expect(now).not.toBe(old);
        expect(filesOf(hosts[0] as HostSpec).filter((file) => /\.(next|last)$/.test(file))).toEqual([]);
      }
      rmSync(`${dir}-before`, { recursive: true });
      expect(cuts).toBeGreaterThan(12);
    },
    300_000,
  );

  it('gives a host that is added meanwhile what the others have', async () => {
    const [first, second] = hosts as readonly [HostSpec, HostSpec];
    hosts = [first];
    await up();
    await prepareRotation(order(['node-api-token']));
    await commitRotation(order(['node-api-token']));
    hosts = [first, second];
    await up();
    expect(filesOf(second)).toEqual(filesOf(first));
    expect(filesOf(second)).toContain('node-api-token.last');
    await rotate(['node-api-token']);
    expect(filesOf(second).filter((file) => file.startsWith('node-api'))).toEqual(['node-api-token']);
  });

  it('still refuses values that differ for another reason', async () => {
    await up();
    await prepareRotation(order(['jupyter-token']));
    writeFileSync(path.join(hosts[1]?.dir ?? '', 'etc/secrets/jupyter-token'), 'by-hand', { mode: 0o600 });
    await expect(up()).rejects.toMatchObject({ code: 'SECRETS_DIFFER' });
    expect(readFileSync(path.join(hosts[1]?.dir ?? '', 'etc/secrets/jupyter-token'), 'utf8')).toBe('by-hand');
  });
});
