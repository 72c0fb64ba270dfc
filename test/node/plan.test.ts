import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/cluster/canonical.js';
import type { ClusterSpec, HostSpec } from '../../src/cluster/spec.js';
import type { Artifacts } from '../../src/hosts/artifacts.js';
import { sha256OfText } from '../../src/hosts/checksum.js';
import { nodeCommand, nodeConfig, nodeEnvironment } from '../../src/node/config.js';
import { nodeImage } from '../../src/node/image/image.js';
import {
  makeNodePlan,
  plannedCommand,
  plannedConfig,
  programsDigest,
  type NodePlan,
} from '../../src/node/plan.js';
import { makeHost, makeSpec } from '../support/spec.js';

const hosts = [makeHost('h1'), { ...makeHost('h2'), dir: '/srv/perijove' }];
const spec = makeSpec({ hosts, nodes: { count: 3 } });
const docker: ClusterSpec = { ...spec, nodes: { ...spec.nodes, containerizer: 'docker' } };

let dir: string;
let present: Artifacts;
let next: Artifacts;

const release = (name: string): Artifacts => {
  const nodeBinary = path.join(dir, 'node');
  const programsDir = mkdtempSync(path.join(dir, 'programs-'));
  writeFileSync(nodeBinary, 'a Node.js');
  writeFileSync(path.join(programsDir, 'perijove-node.mjs'), name);
  return { programsDir, nodeBinary };
};

beforeAll(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'perijove-plan-'));
  present = release('present');
  next = release('next');
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** As the framework workflow keeps it. */
const stored = async (of: ClusterSpec, artifacts = present): Promise<NodePlan> =>
  JSON.parse(JSON.stringify(await makeNodePlan(of, artifacts, 'secrets'))) as NodePlan;

const parsed = ({ [nodeEnvironment.config]: config = '', ...rest }: Readonly<Record<string, string>>) => ({
  ...rest,
  config: JSON.parse(config) as unknown,
});

describe('a stored plan', () => {
  it('gives each node on each host the configuration and the command of the release that made it', async () => {
    for (const each of [spec, docker]) {
      const plan = await stored(each);
      for (const host of hosts) {
        for (const index of [0, 1, 2]) {
          const facts = { etcdFormed: true, taskId: `node${index}.7` };
          expect(plannedConfig(plan, index, host.name)).toEqual(nodeConfig(each, index, host));
          const { value, environment, image } = plannedCommand(plan, index, host.name, facts);
          const expected = nodeCommand(each, index, host, facts);
          expect(value).toBe(expected.value);
          expect(parsed(environment)).toEqual(parsed(expected.environment));
          expect(image).toBe(nodeImage(each)?.reference);
        }
      }
    }
  });

  it('passes on keys of the configuration that this release does not know', async () => {
    const plan = await stored(spec);
    const later = { ...plan, common: { ...plan.common, later: { key: 1 } } };
    expect(plannedConfig(later, 1, 'h2')).toMatchObject({ later: { key: 1 }, name: 'node1' });
  });

  it('grows little with the number of nodes', async () => {
    const many = makeSpec({ hosts, nodes: { count: 50 } });
    expect(JSON.stringify(await stored(many)).length).toBeLessThan(10_000);
  });
});

describe('the digests of a plan', () => {
  it('differ between nodes, and are the same each time', async () => {
    const { digests } = await stored(spec);
    expect(new Set(digests).size).toBe(3);
    expect((await stored(spec)).digests).toEqual(digests);
  });

  it('change with the program that the release brings', async () => {
    const [before, after] = [await stored(spec), await stored(spec, next)];
    for (const [index, digest] of before.digests.entries()) expect(after.digests[index]).not.toBe(digest);
  });

  it('change with the secrets that nodes take at their start', async () => {
    const [one, other] = await Promise.all(
      ['secrets', 'others'].map((secrets) => makeNodePlan(spec, present, secrets)),
    );
    for (const [index, digest] of (one?.digests ?? []).entries())
      expect(other?.digests[index]).not.toBe(digest);
  });

  it('of containers change once with the secrets that they see, and those of processes do not', async () => {
    const seen = async (of: ClusterSpec) => (await stored(of)).hosts['h2']?.secrets;
    expect(await seen(docker)).toBe('/srv/perijove/etc/node-secrets');
    expect(await seen(spec)).toBe('/srv/perijove/etc/node-secrets');
    // What the release before these directories made of the same spec and program.
    const before = async (of: ClusterSpec) => {
      const { digests } = await stored(of);
      const sums = await programsDigest(of, hosts[0] as HostSpec, present);
      return digests.map((digest, index) => {
        const image = nodeImage(of)?.reference;
        const config = nodeConfig(of, index, hosts[0] as HostSpec);
        const secrets = [undefined, 'secrets'];
        const said = { ...config, image, programs: sums, secrets, paths: undefined, nodes: undefined };
        return sha256OfText(canonicalJson(said)) === digest;
      });
    };
    expect(await before(spec)).toEqual([true, true, true]);
    expect(await before(docker)).toEqual([false, false, false]);
  });

  it('a container sees the directory of secrets of the plan that it is launched by', async () => {
    const plan = await stored(docker);
    const earlier: NodePlan = {
      ...plan,
      hosts: { ...plan.hosts, h1: { ...(plan.hosts['h1'] as NodePlan['hosts'][string]), secrets: '/old' } },
    };
    const facts = { etcdFormed: true };
    const { secrets, environment } = plannedCommand(earlier, 0, 'h1', facts);
    expect(secrets).toBe('/old');
    expect(parsed(environment)).toMatchObject({ config: { paths: { secrets: '/old' } } });
  });

  it('change with the configuration and the image, not with the number of nodes or the directory of a host', async () => {
    const { digests } = await stored(spec);
    const slower = { ...spec, etcd: { ...spec.etcd, electionMs: 2_000 } };
    const elsewhere = { ...spec, hosts: spec.hosts.map((host) => ({ ...host, dir: `${host.dir}-2` })) };
    const fewer = { ...spec, nodes: { ...spec.nodes, count: 1 } };
    expect((await stored(slower)).digests).not.toEqual(digests);
    expect((await stored(docker)).digests).not.toEqual(digests);
    expect((await stored(elsewhere)).digests).toEqual(digests);
    expect((await stored(fewer)).digests).toEqual(digests.slice(0, 1));
  });
});
