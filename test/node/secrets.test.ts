import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeSecretNames, secretNames } from '../../src/cluster/secrets.js';
import { planChanges } from '../../src/hosts/converge.js';
import { noItems } from '../../src/hosts/items.js';
import { nodeItems } from '../../src/node/items.js';
import { nodeSecretsCondition } from '../../src/node/secrets.js';
import type { HostConnection } from '../../src/ssh/connection.js';
import { makeHost, makeSpec } from '../support/spec.js';

let dir: string;
const all = () => path.join(dir, 'etc/secrets');
const own = () => path.join(dir, 'etc/node-secrets');
const sh = (script: string) => execFileSync('sh', ['-c', script], { encoding: 'utf8', stdio: 'pipe' });
const condition = (containerizer: 'docker' | 'mesos' = 'mesos') => {
  const host = makeHost('h1', { dir });
  return nodeSecretsCondition(makeSpec({ hosts: [host], nodes: { containerizer } }), host);
};
/** The actions that a deployment plans now. */
const planned = (containerizer?: 'docker') => {
  const { observe, actions } = condition(containerizer);
  return actions(sh(observe));
};
const apply = () => planned().forEach(({ script }) => sh(script));

beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), "perijove it's-"));
  mkdirSync(all(), { recursive: true, mode: 0o700 });
  for (const name of secretNames) writeFileSync(path.join(all(), name), `${name}\nof all\n`, { mode: 0o600 });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('the directory of the secrets of nodes', () => {
  it('has the secrets that a node needs and no other, and only its owner reads it', () => {
    apply();
    expect(readdirSync(own()).toSorted()).toEqual([...nodeSecretNames].toSorted());
    for (const name of nodeSecretNames) {
      expect(readFileSync(path.join(own(), name), 'utf8')).toBe(`${name}\nof all\n`);
      expect(statSync(path.join(own(), name)).mode & 0o777).toBe(0o600);
    }
    expect(statSync(own()).mode & 0o777).toBe(0o700);
    expect(nodeSecretNames).not.toContain('mesos-credential');
    expect(nodeSecretNames).not.toContain('zookeeper-digest');
    expect(nodeSecretNames).not.toContain('proxy-api-token');
    expect(planned()).toEqual([]);
  });

  it.each<readonly [string, () => void]>([
    ['a replaced secret', () => writeFileSync(path.join(all(), 'jupyter-token'), 'other')],
    ['a removed copy', () => rmSync(path.join(own(), 'node-ssh-key'))],
    ['a truncated copy', () => writeFileSync(path.join(own(), 'node-ssh-key'), '')],
    ['a copy that others read', () => chmodSync(path.join(own(), 'node-ssh-key'), 0o644)],
    ['a directory that others enter', () => chmodSync(own(), 0o755)],
    ['a secret too many', () => writeFileSync(path.join(own(), 'mesos-credential'), 'x')],
    ['what an interrupted copy left', () => writeFileSync(path.join(own(), '.jupyter-token.1'), 'x')],
  ])('is mended after %s', (_, damage) => {
    apply();
    damage();
    expect(planned()).toHaveLength(1);
    apply();
    expect(readdirSync(own()).toSorted()).toEqual([...nodeSecretNames].toSorted());
    expect(readFileSync(path.join(own(), 'jupyter-token'))).toEqual(
      readFileSync(path.join(all(), 'jupyter-token')),
    );
    expect(planned()).toEqual([]);
  });

  it('has the values that a node accepts while its token is replaced, for as long as all secrets have them', () => {
    const write = (name: string, text: string) =>
      writeFileSync(path.join(all(), name), text, { mode: 0o600 });
    const tokens = () => readdirSync(own()).filter((name) => name.startsWith('node-api-token'));
    apply();
    write('node-api-token.next', 'new');
    write('jupyter-token.next', 'new');
    expect(planned()).toHaveLength(1);
    apply();
    expect(tokens()).toEqual(['node-api-token', 'node-api-token.next']);
    expect(readdirSync(own())).not.toContain('jupyter-token.next');
    expect(planned()).toEqual([]);
    write('node-api-token.last', 'old');
    write('node-api-token', 'new');
    apply();
    expect(readFileSync(path.join(own(), 'node-api-token.last'), 'utf8')).toBe('old');
    expect(readFileSync(path.join(own(), 'node-api-token'), 'utf8')).toBe('new');
    for (const name of ['next', 'last']) rmSync(path.join(all(), `node-api-token.${name}`));
    expect(planned()).toHaveLength(1);
    apply();
    expect(tokens()).toEqual(['node-api-token']);
    expect(planned()).toEqual([]);
  });

  it('is not made without the secrets', () => {
    rmSync(path.join(all(), 'node-api-token'));
    expect(() => apply()).toThrow(/the secret node-api-token is missing/);
    expect(existsSync(path.join(own(), 'node-api-token'))).toBe(false);
  });

  it('is announced with the replacement of containers, once', () => {
    expect(planned('docker').map(({ plan }) => plan)).toEqual([
      `copy the secrets that nodes need to ${own()}; its nodes are replaced, one at a time`,
    ]);
    expect(planned().map(({ plan }) => plan)).toEqual([`copy the secrets that nodes need to ${own()}`]);
    apply();
    rmSync(path.join(own(), 'node-ssh-key'));
    expect(planned('docker').map(({ plan }) => plan)).toEqual([
      `copy the secrets that nodes need to ${own()}`,
    ]);
  });

  it('announces the replacement of nodes for a secret that they take at their start alone', () => {
    apply();
    const announced = (name: string) => {
      writeFileSync(path.join(all(), name), `other ${name}`);
      const found = planned().map(({ plan }) => plan.endsWith('; its nodes are replaced, one at a time'));
      apply();
      return found;
    };
    expect(announced('jupyter-token')).toEqual([true]);
    expect(announced('etcd-authority.crt')).toEqual([true]);
    expect(announced('node-api-token')).toEqual([false]);
    expect(announced('etcd-client')).toEqual([false]);
  });

  it.each(['stat', 'sha256sum'])('is not taken for different while %s fails', (program) => {
    apply();
    const { observe, actions } = condition();
    const broken = `(${program}() { return 1; }; ${observe}) || :`;
    expect(() => actions(sh(broken))).toThrow(/h1: the secrets of nodes were not compared/);
    expect(() => actions('')).toThrow(/h1: the secrets of nodes were not compared/);
  });

  it('is made by the convergence of a host, which then finds nothing to change', async () => {
    const host = makeHost('h1', { dir, init: 'runit' });
    for (const each of ['bin', 'data', 'log', 'run', 'service']) mkdirSync(path.join(dir, each));
    const exec = async (script: string) => {
      const { status, stdout, stderr } = spawnSync('sh', ['-s'], { input: script, encoding: 'utf8' });
      return { code: status, stdout, stderr };
    };
    const connection = {
      host,
      exec,
      run: async (script: string) => {
        const { code, stdout, stderr } = await exec(script);
        if (code !== 0) throw new Error(stderr);
        return stdout;
      },
    } as unknown as HostConnection;
    const items = { ...noItems, conditions: nodeItems(makeSpec({ hosts: [host] }), host).conditions ?? [] };
    const deps = { artifacts: { programsDir: dir, nodeBinary: process.execPath }, cluster: 'c' };
    const plan = () => planChanges(connection, items, deps);
    expect(await plan()).toEqual([{ host: 'h1', what: `copy the secrets that nodes need to ${own()}` }]);
    for (const { script } of planned()) sh(script);
    expect(await plan()).toEqual([]);
    rmSync(path.join(own(), 'jupyter-token'));
    expect(await plan()).toHaveLength(1);
  });
});
