/**
 * The overlay's script in network namespaces: three hosts on their own network, with one node each. The
 * machine's own links are not changed.
 */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { networkFactsScript, networkProblems, parseNetworkFacts } from '../../src/network/clashes.js';
import { overlayDifferences, parseOverlay } from '../../src/network/observe.js';
import { removeNetworkScript } from '../../src/network/remove.js';
import { overlayOf, type Overlay } from '../../src/network/overlay.js';
import { observeOverlayScript, overlayScript } from '../../src/network/overlay-script.js';
import type { HostSpec } from '../../src/cluster/spec.js';
import { makeHost, makeSpec } from '../support/spec.js';

const run = promisify(execFile);
const prefix = `pj${process.pid}`;
const switching = `${prefix}-net`;
const hosts = [1, 2, 3].map((index) => makeHost(`h${index}`, { address: `172.31.255.${index}` }));
const spec = makeSpec({
  name: 'netns',
  hosts,
  nodes: { containerizer: 'docker', firstAddress: '192.168.255.10' },
  network: { kind: 'vxlan', name: 'perijove', subnet: '192.168.255.0/24', vni: 4242, mtu: 1450 },
});
const place = ({ name }: HostSpec) => `${prefix}-${name}`;
const node = (host: HostSpec) => `${prefix}-n${host.name}`;
const nodeAddress = (host: HostSpec) => `192.168.255.1${hosts.indexOf(host)}`;
const overlay = (host: HostSpec, of = spec): Overlay => {
  const found = overlayOf(of, host);
  if (found === undefined) throw new Error('the spec has no VXLAN');
  return found;
};

const sh = async (script: string) => (await run('sh', ['-euc', script])).stdout;
const within = async (namespace: string, script: string) =>
  (await run('ip', ['netns', 'exec', namespace, 'bash', '-c', script])).stdout;
const apply = (host: HostSpec, of = spec) => within(place(host), overlayScript(overlay(host, of)));
const differences = async (host: HostSpec, of = spec) =>
  overlayDifferences(
    overlay(host, of),
    parseOverlay(await within(place(host), observeOverlayScript(overlay(host, of)))),
  );
const problems = async (host: HostSpec) =>
  networkProblems(spec, host, parseNetworkFacts(await within(place(host), networkFactsScript(host)))).filter(
    // This machine's Docker may have any networks.
    ({ message }) => !message.includes('Docker'),
  );
/** Nothing listens there: a refused connection has reached its target. */
const reaches = (namespace: string, address: string) =>
  within(namespace, `timeout 5 bash -c '</dev/tcp/${address}/9' 2>&1 || true`).then((output) =>
    output.includes('refused'),
  );
/** Applies the script with one program replaced, in the mounts of `ip netns exec` only. */
const applyWith = (
  host: HostSpec,
  program: 'ip' | 'bridge' | 'docker',
  on: string,
  by: string,
  script?: string,
) =>
  within(
    place(host),
    `set -e
directory=$(mktemp -d); trap 'umount "$directory"; rmdir "$directory"' EXIT
mount -t tmpfs none "$directory"
path=$(readlink -f "$(command -v ${program})")
cp "$path" "$directory/real"
cat >"$directory/broken" <<END
#!/bin/sh
case "\\$*" in ${on}) ${by} ;; *) exec "$directory/real" "\\$@" ;; esac
END
chmod 755 "$directory/broken"
mount --bind "$directory/broken" "$path"
set +e
(
${script ?? overlayScript(overlay(host))}
)
code=$?
umount "$path"
exit $code`,
  );
const whatIsThere = (host: HostSpec) =>
  within(
    place(host),
    'cat /sys/class/net/{vxlan4242,perijove}/ifindex; ip -4 -o address show dev perijove; bridge fdb show dev vxlan4242 | grep ^00:00:00:00:00:00',
  );
const linkNumbers = (host: HostSpec) =>
  within(place(host), 'cat /sys/class/net/{vxlan4242,perijove}/ifindex').then((text) => text.split('\n'));

const namespaces = [switching, ...hosts.map(place), ...hosts.map(node)];
const canMakeLinks =
  process.getuid?.() === 0 &&
  spawnSync('sh', [
    '-c',
    `ip netns add ${prefix}-try && ip -n ${prefix}-try link add v type vxlan id 1 dstport 4789 local 127.0.0.1; code=$?; ip netns delete ${prefix}-try; exit $code`,
  ]).status === 0;
if (!canMakeLinks)
  console.warn('SKIPPED: the VXLAN in network namespaces, which this machine does not let a test make');

describe.skipIf(!canMakeLinks)('the VXLAN', () => {
  beforeAll(async () => {
    await sh(
      [
        ...namespaces.map((name) => `ip netns add ${name}; ip -n ${name} link set lo up`),
        `ip -n ${switching} link add sw type bridge; ip -n ${switching} link set sw up`,
        ...hosts.flatMap((host) => [
          `ip -n ${place(host)} link add eth0 type veth peer name ${host.name} netns ${switching}`,
          `ip -n ${switching} link set ${host.name} master sw up`,
          `ip -n ${place(host)} address add ${host.address}/24 dev eth0; ip -n ${place(host)} link set eth0 up`,
        ]),
      ].join('\n'),
    );
    for (const host of hosts) await apply(host);
    await sh(
      hosts
        .flatMap((host) => [
          `ip -n ${node(host)} link add eth0 mtu 1450 type veth peer name node netns ${place(host)}`,
          `ip -n ${place(host)} link set node master perijove up`,
          `ip -n ${node(host)} address add ${nodeAddress(host)}/24 dev eth0; ip -n ${node(host)} link set eth0 up`,
        ])
        .join('\n'),
    );
  });

  afterAll(async () => {
    await sh(namespaces.map((name) => `ip netns delete ${name} 2>/dev/null || :`).join('\n'));
  });

  it('connects all hosts and all nodes', async () => {
    const addresses = [
      ...hosts.map(nodeAddress),
      ...hosts.map((host) => overlay(host).address.replace('/24', '')),
    ];
    const places = [...hosts.map(place), ...hosts.map(node)];
    const found = await Promise.all(
      places.flatMap((from) =>
        addresses.map(async (to) => ((await reaches(from, to)) ? [] : [`${from} does not reach ${to}`])),
      ),
    );
    expect(found.flat()).toEqual([]);
    expect(await Promise.all(hosts.map((host) => differences(host)))).toEqual([[], [], []]);
  });

  it('does not clash with itself, but with others', async () => {
    const [host = makeHost('none')] = hosts;
    expect(await problems(host)).toEqual([]);
    await within(place(host), 'ip route add 192.168.255.0/25 via 172.31.255.2; ip link set eth0 mtu 1400');
    expect((await problems(host)).map(({ code }) => code).sort()).toEqual(['NETWORK_CLASH', 'NETWORK_MTU']);
    await within(place(host), 'ip route delete 192.168.255.0/25; ip link set eth0 mtu 1500');
  });

  it('changes nothing when it is repeated, and only its peers when a host is removed', async () => {
    const [host = makeHost('none'), , gone = makeHost('none')] = hosts;
    const before = await linkNumbers(host);
    await apply(host);
    expect(await linkNumbers(host)).toEqual(before);
    const smaller = { ...spec, hosts: hosts.slice(0, 2) };
    expect(await differences(host, smaller)).toEqual(['different peers']);
    await apply(host, smaller);
    expect(await differences(host, smaller)).toEqual([]);
    expect(await reaches(node(host), nodeAddress(gone))).toBe(false);
    await apply(host);
    expect(await linkNumbers(host)).toEqual(before);
    expect(await reaches(node(host), nodeAddress(gone))).toBe(true);
  });

  it.each([
    ['ip link delete vxlan4242', 'no vxlan4242'],
    ['ip link set vxlan4242 nomaster', 'vxlan4242 is not in perijove'],
    ['ip link set vxlan4242 down', 'links are down'],
    ['ip link set perijove mtu 1300', 'different MTU'],
    [
      'ip address add 192.168.255.99/24 dev perijove',
      'perijove does not have exactly the address 192.168.255.243/24',
    ],
    ['ip link set perijove alias x', 'links are unmarked'],
    ['ip link set perijove address 02:00:00:00:00:01', 'perijove has a different Ethernet address'],
    [
      'ip link delete vxlan4242; ip link add vxlan4242 type vxlan id 7 local 172.31.255.1 dstport 4789; ip link set vxlan4242 alias "perijove netns" master perijove mtu 1450 up; bridge fdb append 00:00:00:00:00:00 dev vxlan4242 dst 172.31.255.2; bridge fdb append 00:00:00:00:00:00 dev vxlan4242 dst 172.31.255.3',
      'vxlan4242 has different parameters',
    ],
  ])('repairs: %s', async (damage, what) => {
    const [host = makeHost('none'), other = makeHost('none')] = hosts;
    await within(place(host), damage);
    expect(await differences(host)).toEqual([what]);
    await apply(host);
    expect(await differences(host)).toEqual([]);
    expect(await reaches(node(host), nodeAddress(other))).toBe(true);
  });

  describe.each([
    ['the link', 'ip', "*'-d link show'*"],
    ['the addresses', 'ip', "*'address show'*"],
    ['the peers', 'bridge', "*'fdb show'*"],
  ] as const)('changes nothing when the query of %s', (_what, program, on) => {
    it.each([
      ['fails', 'exit 1'],
      ['prints nothing', 'exit 0'],
      ['is truncated', '"$directory/real" "\\$@" | head -c 70'],
      ['is truncated, and fails', '"$directory/real" "\\$@" | head -c 30; exit 1'],
    ])('%s', async (_how, by) => {
      const [host = makeHost('none')] = hosts;
      await apply(host);
      const before = await whatIsThere(host);
      await applyWith(host, program, on, by).catch(() => undefined);
      expect(await whatIsThere(host)).toBe(before);
      const printed = await applyWith(host, program, on, by, observeOverlayScript(overlay(host))).catch(
        (error: unknown) => (error as { stdout: string }).stdout,
      );
      const seen = overlayDifferences(overlay(host), parseOverlay(printed));
      expect(seen).toHaveLength(1);
      expect(seen[0]).not.toMatch(/^no (vxlan|perijove)/);
    });
  });

  it('takes over the bridge that Docker created, and leaves foreign links alone', async () => {
    const [, , host = makeHost('none')] = hosts;
    await within(
      place(host),
      'ip link delete vxlan4242; ip link delete perijove; ip link add perijove type bridge',
    );
    await apply(host);
    expect(await differences(host)).toEqual([]);
    await within(place(host), 'ip link set vxlan4242 alias "of somebody"');
    await expect(apply(host)).rejects.toThrow('vxlan4242 is there, and not of this cluster');
    await within(place(host), 'ip link set vxlan4242 alias "perijove netns"');
  });

  it('removes its links with other names', async () => {
    const [, host = makeHost('none')] = hosts;
    const { network } = spec;
    if (network.kind !== 'vxlan') throw new Error('the spec has no VXLAN');
    await apply(host, { ...spec, network: { ...network, vni: 4243 } });
    expect(await within(place(host), 'ls /sys/class/net')).not.toContain('vxlan4242');
    expect(await differences(host)).toEqual(['no vxlan4242']);
  });

  describe('the removal of the network', () => {
    const [host = makeHost('none')] = hosts;
    const directory = mkdtempSync(path.join(tmpdir(), 'perijove-remove-'));
    afterAll(() => rmSync(directory, { recursive: true, force: true }));
    beforeEach(() => {
      mkdirSync(path.join(directory, 'etc'), { recursive: true });
      writeFileSync(path.join(directory, 'etc', 'network.sh'), '');
    });
    const script = removeNetworkScript({ dir: directory }, 'netns', ':');
    const remove = (by: string) =>
      applyWith(host, 'docker', '*', by, script).then(
        (printed) => ({ code: 0, printed }),
        ({ code, stdout: printed }: { code: number; stdout: string }) => ({ code, printed }),
      );
    const list = (of: string) => `case "\\$*" in 'network ls'*) ${of} ;; esac`;
    const all = "printf 'none  end\\\\nperijove netns end\\\\n'";

    it.each([
      ['fails', 'exit 1', 72],
      ['lists nothing', 'exit 0', 72],
      ['lists only a part', list("printf 'bridge  end\\\\n'"), 72],
      ['does not report the containers', `${list(all)}; case "\\$*" in *inspect*) exit 1 ;; esac`, 72],
      ['prints nothing about the containers', list(all), 72],
      [
        'reports only a part of the containers',
        `${list(all)}; case "\\$*" in *inspect*) printf 'a ' ;; esac`,
        72,
      ],
      ['reports a connected container', `${list(all)}; case "\\$*" in *inspect*) printf 'a end' ;; esac`, 71],
      ['reports no network, and a container is on the bridge', list("printf 'none  end\\\\n'"), 71],
    ])('removes nothing when Docker %s', async (_how, by, code) => {
      await apply(host);
      const before = await whatIsThere(host);
      expect(await remove(by)).toEqual({ code, printed: '' });
      expect(await whatIsThere(host)).toBe(before);
      expect(existsSync(path.join(directory, 'etc', 'network.sh'))).toBe(true);
    });

    it('removes links that are no longer in use, and keeps foreign ones', async () => {
      await within(place(host), 'ip link set node nomaster; ip link add other type bridge');
      const { code, printed } = await remove(list("printf 'none  end\\\\n'"));
      expect([code, printed.split('\n').sort()]).toEqual([
        0,
        ['', 'removed the link perijove', 'removed the link vxlan4242'],
      ]);
      expect(await within(place(host), 'ls /sys/class/net')).toMatch(/^eth0\nlo\nnode\nother\n$/);
    });
  });
});
