/** Network partitions of a host, with real iptables rules in a separate network namespace. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HostSpec } from '../../../src/cluster/spec.js';
import { cutOff, mend, planPartition, type Partition } from '../../../src/drill/faults/partition.js';
import type { SshPool } from '../../../src/ssh/connection.js';
import { eventually } from '../../support/eventually.js';
import { poolOf, timers } from '../../support/faults.js';
import { makeHost } from '../../support/spec.js';

const canTry = process.getuid?.() === 0 && spawnSync('iptables', ['--version']).status === 0;
/** The host, one of its peers, and another host, all on one bridge. */
const [struck, peer, other] = [2, 3, 4].map((each) => ({
  name: `pj-cut-${process.pid}-${each}`,
  address: `192.0.2.${200 + each}`,
})) as [Place, Place, Place];
/** The bridge has its own namespace: rules of this machine, such as Docker's, may drop bridged packets. */
const middle = `pj-cut-${process.pid}-switch`;

interface Place {
  readonly name: string;
  readonly address: string;
}

const ip = (...args: string[]) => execFileSync('ip', args, { encoding: 'utf8' });
const inside = ({ name }: Place, command: string) =>
  spawnSync('ip', ['netns', 'exec', name, 'sh', '-c', command], { encoding: 'utf8' });
/** Nothing listens there: a host that is reached refuses. */
const reaches = (from: Place, to: Place) =>
  inside(from, `LC_ALL=C timeout 1 bash -c ': < /dev/tcp/${to.address}/9'`).stderr.includes('refused');

describe.skipIf(!canTry)('a network partition', () => {
  let dir: string;
  let host: HostSpec;
  let pool: SshPool;
  const spec = {
    hosts: [struck, peer].map(({ name, address }) => makeHost(name, { address, dir: '/nowhere' })),
  };

  beforeAll(() => {
    dir = mkdtempSync(path.join(tmpdir(), 'perijove-cut-'));
    mkdirSync(path.join(dir, 'run'));
    host = makeHost('h1', { address: struck.address, dir });
    pool = poolOf((script) => inside(struck, script));
    ip('netns', 'add', middle);
    ip('-n', middle, 'link', 'add', 'br0', 'type', 'bridge');
    ip('-n', middle, 'link', 'set', 'br0', 'up');
    for (const { name, address } of [struck, peer, other]) {
      const port = `port${address.slice(-3)}`;
      ip('netns', 'add', name);
      ip('-n', middle, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
      ip('-n', middle, 'link', 'set', port, 'master', 'br0', 'up');
      ip('-n', name, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
      ip('-n', name, 'link', 'set', 'eth0', 'up');
      ip('-n', name, 'link', 'set', 'lo', 'up');
    }
  });
  afterAll(() => {
    for (const name of [struck.name, peer.name, other.name, middle]) spawnSync('ip', ['netns', 'del', name]);
    rmSync(dir, { recursive: true, force: true });
  });

  const rules = () => inside(struck, "iptables-save | grep -v '^#'").stdout;

  it('cuts a host off from its peers until it is healed; not twice or after healing', async () => {
    const plan = await planPartition({ pool, spec }, host, 'peers');
    expect(plan).toMatchObject({ device: 'eth0', peers: [peer.address] });
    await eventually('peer is reachable from struck', () => reaches(struck, peer));
    await cutOff(pool, host, plan);
    await eventually('the peer is away', () => !reaches(struck, peer));
    expect(reaches(peer, struck)).toBe(false);
    await eventually('other is reachable from struck', () => reaches(struck, other));
    const cut = rules();
    await cutOff(pool, host, plan);
    expect(rules()).toBe(cut);

    expect(timers(plan)).toHaveLength(1);
    await mend(pool, host, plan);
    await eventually('peer is reachable from struck', () => reaches(struck, peer));
    expect(rules()).not.toContain('PERIJOVE');
    await cutOff(pool, host, plan);
    expect(rules()).not.toContain('PERIJOVE');
    await eventually('its timer has ended', () => timers(plan).length === 0);
  });

  it('can be repeated, and the earlier timer does not heal it', async () => {
    const before: Partition = { ...(await planPartition({ pool, spec }, host, 'peers')), forMs: 3_000 };
    await cutOff(pool, host, before);
    await mend(pool, host, before);
    const plan = await planPartition({ pool, spec }, host, 'peers');
    await cutOff(pool, host, plan);
    await eventually('the timer before has ended', () => timers(before).length === 0);
    expect(reaches(struck, peer)).toBe(false);
    await mend(pool, host, plan);
  });

  it('is healed completely while a slow host is still injecting it', async () => {
    /** A pool whose hosts take seconds for some calls of iptables. */
    const slow = (calls: string, seconds: number): SshPool => {
      const programs = mkdtempSync(path.join(dir, 'programs-'));
      writeFileSync(
        path.join(programs, 'iptables'),
        `#!/bin/sh\nPATH=\${PATH#*:}\ncase "$*" in ${calls}) sleep ${seconds} ;; esac\nexec iptables "$@"\n`,
        { mode: 0o755 },
      );
      return poolOf((script) => inside(struck, `PATH=${programs}:$PATH\n${script}`));
    };
    const plan = await planPartition({ pool, spec }, host, 'peers');
    await cutOff(slow("'-w -I OUTPUT'*", 0.7), host, plan);
    await mend(slow("'-w -F'*", 1), host, plan);
    await eventually('its timer has ended', () => timers(plan).length === 0);
    expect(rules()).not.toContain('PERIJOVE');
    expect(reaches(struck, peer)).toBe(true);
  });

  it('cuts a host off from everybody, and heals automatically', async () => {
    const plan: Partition = { ...(await planPartition({ pool, spec }, host, 'all')), forMs: 6_000 };
    expect(plan).not.toHaveProperty('peers');
    await cutOff(pool, host, plan);
    await eventually('everybody is away', () => !reaches(struck, other) && !reaches(peer, struck));
    await eventually('it is back', () => reaches(struck, other) && reaches(peer, struck));
    await eventually('its rules are gone', () => !rules().includes('PERIJOVE'));
  });

  it.each([
    ['fails', 'exit 1'],
    ['prints nothing', 'exit 0'],
    ['prints half', 'iptables -S | head -n 1 | cut -c1-5'],
  ])('is not reported as healed when iptables %s', async (_what, answer) => {
    const plan = await planPartition({ pool, spec }, host, 'peers');
    await cutOff(pool, host, plan);
    await eventually('the peer is away', () => !reaches(struck, peer));
    const programs = mkdtempSync(path.join(dir, 'programs-'));
    writeFileSync(
      path.join(programs, 'iptables'),
      `#!/bin/sh\nPATH=\${PATH#*:}\ncase "$*" in '-w -S') ${answer} ;; *) exit 4 ;; esac\n`,
      { mode: 0o755 },
    );
    const broken = poolOf((script) => inside(struck, `PATH=${programs}:$PATH\n${script}`));
    await expect(mend(broken, host, plan)).rejects.toMatchObject({ code: 'DRILL_NOT_POSSIBLE' });
    await mend(pool, host, plan);
    await eventually('peer is reachable from struck', () => reaches(struck, peer));
    expect(rules()).not.toContain('PERIJOVE');
  });

  it('may be healed though it was never injected', async () => {
    const plan = await planPartition({ pool, spec }, host, 'peers');
    await mend(pool, host, plan);
    await eventually('peer is reachable from struck', () => reaches(struck, peer));
  });
});
