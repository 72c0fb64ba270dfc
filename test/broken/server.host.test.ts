/** Everything that Perijove sends to a server with systemd and Docker, with each observation broken. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { asyncLocalStorage, type Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { createTeardownActivities } from '../../src/activities/teardown.js';
import { PerijoveError } from '../../src/errors/error.js';
import { converge, type ConvergeDeps } from '../../src/hosts/converge.js';
import { enableDaemonScript, startDaemon, stopOwnDaemons } from '../../src/hosts/daemons.js';
import { dockerDaemon } from '../../src/hosts/docker.js';
import { noItems, type DaemonItem, type HostItems, type ServiceItem } from '../../src/hosts/items.js';
import { installPackages } from '../../src/hosts/packages.js';
import { removeHost, removeItems } from '../../src/hosts/remove.js';
import { hostServices } from '../../src/hosts/services.js';
import { networkFactsScript, parseNetworkFacts } from '../../src/network/clashes.js';
import { networkItems } from '../../src/network/items.js';
import { removeNetwork } from '../../src/network/remove.js';
import { fenceNode } from '../../src/node/fence.js';
import { hostHasImage } from '../../src/node/image/host.js';
import { containerLabels } from '../../src/node/layout.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { ownerOption } from '../../src/storage/gluster.js';
import { observeBricks, planVolume, removeVolume } from '../../src/storage/volume.js';
import { brokenEnvironment, BrokenCommands } from '../support/broken/commands.js';
import { expectNoHarm } from '../support/broken/report.js';
import type { Scenario, World } from '../support/broken/runs.js';
import type { ServerScenario } from '../support/broken/scripts.js';
import { debianPackages } from '../support/debian-packages.js';
import { docker, dockerRemove, makeTinyImage } from '../support/docker.js';
import { canRunServers, startServer, type TestServer } from '../support/server.js';
import { makeGluster, makeSpec } from '../support/spec.js';
import { silentPool } from '../support/ssh-pool.js';

const dir = '/opt/perijove';
const image = `perijove-test-broken-${process.pid}`;
/** Clearing a host does not use Temporal. */
const noClient = {} as Client;

/** An empty package database that can be restored; `fresh` contains a unit, `eager` an init script. */
// In systemd's package `runlevel` is a link to `systemctl`, which would be overwritten.
const packages = `rm -f /sbin/runlevel
${debianPackages}
unit() { mkdir -p "$1/lib/systemd/system"; printf '[Service]\\nExecStart=/bin/sleep 999\\n[Install]\\nWantedBy=multi-user.target\\n' > "$1/lib/systemd/system/$2"; }
make meek; unit /package/meek fresh.service; unit /package/meek there.service; unit /package/meek ssh.service; rm /package/meek/lib/systemd/system/ssh.service
printf '#!/bin/sh\\nset -e\\ndeb-systemd-helper enable fresh.service >/dev/null || true\\ndeb-systemd-invoke start fresh.service || true\\n' > /package/meek/DEBIAN/postinst; chmod 755 /package/meek/DEBIAN/postinst
build meek
make eager; daemon eager eager; build eager
apt-get -q update
cp -a /var/lib/dpkg /var/lib/dpkg.saved; cp -a /var/lib/apt /var/lib/apt.saved
`;

/** Other owners' files and services, with names that begin like ours. */
const others = `
set -e
mkdir -p /opt/perijove-other/etc/services /opt/other /var/lib/other /srv/other /usr/local/lib/systemd/system
for file in /opt/perijove-other/etc/services/x /opt/other/file /etc/other.conf /var/lib/other/file /srv/other/file; do echo other > "$file"; done
for unit in other.service there.service perijove-other-a.service perijove-test2-a.service; do
  printf '[Service]\\nExecStart=/bin/sleep 4321\\n# /opt/perijove-other/etc/services/\\n[Install]\\nWantedBy=multi-user.target\\n' > "/etc/systemd/system/$unit"
done
systemctl daemon-reload
systemctl enable --now other.service there.service perijove-other-a.service perijove-test2-a.service
systemctl start docker.service
docker network create --subnet 10.91.0.0/24 --label io.perijove.cluster=other perijove-other >/dev/null
docker network create --subnet 10.92.0.0/24 other >/dev/null
docker run --detach --name other --network other --label ${containerLabels.tree}=/opt/perijove-other/data/nodes/node0 --label ${containerLabels.task}=node0.1 IMAGE sleep 4321 >/dev/null
docker create --name other-made --label ${containerLabels.tree}=/opt/perijove-other/data/nodes/node0 IMAGE sleep 4321 >/dev/null
ip link add other0 type bridge; ip link set other0 alias 'perijove test2' up; ip address add 10.93.0.1/24 dev other0
`;

const foreignScript = `
systemctl list-unit-files --state=enabled --no-legend | cut -d' ' -f1 | grep -v -e '^perijove-test-' -e '^own' -e '^fresh'
systemctl list-units --type=service,socket,timer --state=active --no-legend --plain | cut -d' ' -f1 | grep -v -e '^perijove-test-' -e '^own' -e '^fresh' -e '^user' -e '^apt-daily' -e '^dpkg-db' -e '^glusterd' -e '^run-'
for unit in ssh docker containerd other there perijove-other-a perijove-test2-a dbus systemd-journald; do echo "$unit $(systemctl show --property=MainPID --value "$unit.service")"; done
find /etc /opt /var/lib/other /srv/other /usr/local/bin /usr/local/lib -path ${dir} -prune -o -name 'perijove-test-*' -prune -o -name 'own*' -prune -o -name 'fresh.service' -prune -o -name '*eager*' -prune -o -path /etc/apt -prune -o -path /etc/rc*.d -prune -o -type d -printf '%p %m\\n' -o -printf '%p %y %m %s %T@ %l\\n' | sort
awk '$5 != "${dir}" && $5 !~ "^(${dir}|/var/lib/docker/overlay2|/run/docker/netns)/" { print "mount", $5 }' /proc/self/mountinfo | sort
docker ps --all --format '{{.Names}} {{.State}}' | grep other | sort
docker inspect --format '{{.State.Pid}}' other
docker network ls --format '{{.ID}} {{.Name}} {{.Labels}}' | grep -v test$ | sort
for link in /sys/class/net/*; do echo "\${link##*/} $(cat "$link/ifalias")"; done | grep -v -e 'perijove test$' -e '^own' -e '^br-t'
ip route | grep -v -e 'dev own' -e 'dev br-t'`;

const stateScript = `
[ ! -d ${dir} ] || find ${dir} ! -path '${dir}/log/*' ! -name '*.running*' ! -name '*.upload' ! -path '*/run/checksums*' -printf '%p %y %m\\n' | sort
systemctl list-unit-files --state=enabled --no-legend 'perijove-test-*' 'own*' | cut -d' ' -f1
systemctl list-units --no-legend --plain --all 'perijove-test-*' 'own*' | awk '{ print $1, $3 }'
grep ' ${dir}/' /proc/self/mountinfo | cut -d' ' -f5
:`;

const networkState = `
docker network ls --filter label=io.perijove.cluster=test --format '{{.Name}}'
for link in /sys/class/net/*; do echo "\${link##*/} $(cat "$link/ifalias")"; done | grep 'perijove test$'
ls ${dir}/etc/network.sh /etc/systemd/system/perijove-test-network.service 2>/dev/null
:`;

describe.runIf(canRunServers)('with a broken observation', () => {
  let server: TestServer;
  let local: string;
  let pool: SshPool;
  let world: World;
  let deps: ConvergeDeps;

  beforeAll(async () => {
    local = await mkdtemp(path.join(tmpdir(), 'perijove-broken-'));
    deps = { artifacts: { programsDir: local, nodeBinary: process.execPath }, cluster: 'test' };
    makeTinyImage(image, ['sh', 'sleep']);
    server = await startServer({ environment: brokenEnvironment });
    await server.run('rm -f /root/.bashrc /root/.profile; systemctl start docker.service');
    const archive = path.join(local, 'image.tar');
    docker('save', '--output', archive, image);
    await promisify(execFile)('cp', [archive, path.join(server.root, 'image.tar')]);
    await server.run('docker load --quiet --input /image.tar');
    await server.run(others.replaceAll('IMAGE', image));
    await server.run(`{ set -e; ${packages}\n} >/packages.log 2>&1`);
    pool = silentPool(path.join(local, 'known'));
    const commands = new BrokenCommands(server);
    await commands.install();
    world = { place: server, commands, pool, foreign: () => server.run(foreignScript) };
  }, 600_000);
  afterAll(async () => {
    await pool?.close();
    await server?.remove();
    dockerRemove('image', image);
    await rm(local, { recursive: true, force: true });
  });

  const host = () => server.host();
  const state = () => server.run(stateScript);
  const service = (name: string): ServiceItem => ({
    name,
    description: name,
    exec: ['/bin/sleep', '1000'],
    env: {},
    restartOn: [`${dir}/etc/a.conf`],
  });
  const items: HostItems = {
    ...noItems,
    files: [],
    services: [service('a'), service('b')],
  };
  const services = async (via: SshPool) => hostServices(await via.get(host()), 'test');
  const whole = async () => converge(await pool.get(host()), items, deps);
  const none = async () => removeHost(await pool.get(host()), { purge: true, cluster: 'test' });
  const asActivity = <T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> =>
    asyncLocalStorage.run({ cancellationSignal: signal } as Context, work);

  /** An unused daemon of the distribution. */
  const daemon: DaemonItem = {
    name: 'own',
    answers: 'systemctl is-active --quiet own.service',
    usedBy: 'ls /var/lib/own',
  };
  const daemonIs = async (how: 'off' | 'running' | 'ours') => {
    await server.run(`mkdir -p /var/lib/own ${dir}/etc
printf '[Service]\\nExecStart=/bin/sleep 77\\n[Install]\\nWantedBy=multi-user.target\\n' > /lib/systemd/system/own.service
systemctl daemon-reload; systemctl disable --now --quiet own.service; rm -f ${dir}/etc/daemons/own
${how === 'off' ? '' : 'systemctl start own.service'}
${how === 'ours' ? `systemctl enable --quiet own.service; mkdir -p ${dir}/etc/daemons; : > ${dir}/etc/daemons/own` : ''}`);
  };

  const overlay = (mtu = 1400) =>
    makeSpec({
      name: 'test',
      hosts: [host()],
      nodes: { containerizer: 'docker', firstAddress: '10.94.0.10' },
      network: { kind: 'vxlan', name: 'br-t', subnet: '10.94.0.0/24', vni: 77, mtu },
    });
  const noNetwork = async () => void (await removeNetwork(await pool.get(host()), 'test'));
  const makeNetwork = async (via: SshPool, mtu?: number, signal?: AbortSignal) =>
    converge(await via.get(host()), networkItems(overlay(mtu), host()), {
      ...deps,
      ...(signal === undefined ? {} : { signal }),
    });

  const tree = `${dir}/data/nodes/node0`;
  const container = async () => {
    await server.run(`mkdir -p ${tree}/run ${dir}/bin; touch ${dir}/bin/perijove-node; rm -f ${tree}/run/*
docker inspect own >/dev/null 2>&1 || docker run --detach --name own --network none --env PERIJOVE_NODE_TREE=${tree} --label ${containerLabels.tree}=${tree} --label ${containerLabels.task}=node0.3 ${image} sh -c 'trap exit TERM; sleep 5432 & wait' >/dev/null`);
  };
  const containerState = () =>
    server.run(
      `docker ps --all --format '{{.Names}} {{.State}}' | sort; pgrep -f '^sleep 5432' >/dev/null && echo runs; :`,
    );

  const gluster = makeGluster({ volume: 'own', brick: '/srv/own' });
  const volumeSpec = () => makeSpec({ name: 'test', hosts: [host()], storage: gluster });
  const volume = async () => {
    await server.run(`set -e
systemctl start glusterd.service
create() { gluster --mode=script volume create "$1" ${host().address}:/srv/$1/$1 force; gluster --mode=script volume start "$1"; gluster --mode=script volume set "$1" ${ownerOption} "$2"; }
mkdir -p /srv/own /srv/foreign ${dir}/data
{ gluster volume info foreign || create foreign other
gluster volume info own || { rm -rf /srv/own/own; create own test; }; } >/dev/null
echo /srv/own/own > ${dir}/data/gluster-brick; echo note > /srv/own/own/note; echo note > /srv/foreign/foreign/note`);
  };
  const volumeState = () =>
    server.run(
      `gluster volume list; gluster volume info foreign | grep Status; find /srv -path '*/.glusterfs' -prune -o -print | sort`,
    );

  const scenarios: Readonly<Record<ServerScenario, Scenario>> = {
    'install packages': {
      prepare: async () =>
        void (await server.run(`{ systemctl stop eager.service fresh.service; rm -rf /var/lib/dpkg /var/lib/apt; cp -a /var/lib/dpkg.saved /var/lib/dpkg; cp -a /var/lib/apt.saved /var/lib/apt
rm -f /lib/systemd/system/fresh.service /lib/systemd/system/there.service /etc/init.d/eager /etc/rc*.d/*eager /etc/systemd/system/*.wants/fresh.service /var/lib/systemd/deb-systemd-helper-enabled/fresh* /started
rm -rf /run/perijove-apt*; systemctl daemon-reload; } >/dev/null 2>&1; :`)),
      act: async (via, signal) =>
        installPackages(await via.get(host()), ['meek', 'eager'], { signal, lockTimeoutMs: 5_000 }),
      state: () =>
        server.run(`dpkg-query -W -f '\${Package} \${db:Status-Status}\\n' meek eager 2>&1
ls -A /run/systemd/system /run | grep -e '\\.service' -e perijove-apt; ls /usr/sbin/policy-rc.d* /var/lib/misc/perijove* /started 2>/dev/null
systemctl is-active fresh.service eager.service; systemctl is-enabled ssh.service other.service there.service; :`),
    },
    'converge a bare server': {
      prepare: async () => void (await none()),
      act: async (via, signal) => converge(await via.get(host()), items, { ...deps, signal }),
      state,
    },
    'stop, start and restart a unit': {
      prepare: async () => void (await whole()),
      act: async (via) => {
        const of = await services(via);
        await of.stop('a');
        await of.start('a');
        await of.restart('a');
        await of.status(['a']);
      },
      state,
    },
    'status and log of a unit': {
      prepare: async () => void (await whole()),
      act: async (via) => {
        const of = await services(via);
        await of.status(['a', 'b', 'c']);
        await of.logs('a', 5);
        await of.kill('a', 'CONT');
      },
      state,
    },
    'remove units': {
      claims: true,
      prepare: async () => void (await whole()),
      act: async (via) => {
        const of = await services(via);
        await of.status(['b']);
        await of.remove('b');
        return removeItems(await via.get(host()), items, { cluster: 'test' });
      },
      state,
    },
    'purge a server': {
      claims: true,
      prepare: async () => void (await whole()),
      act: async (via) => removeHost(await via.get(host()), { purge: true, cluster: 'test' }),
      state,
    },
    'start a daemon': {
      prepare: () => daemonIs('off'),
      act: async (via, signal) => startDaemon(await via.get(host()), daemon, { signal }),
      state,
    },
    'enable a daemon': {
      prepare: () => daemonIs('running'),
      act: async (via, signal) => {
        await converge(await via.get(host()), { ...noItems, daemons: [daemon] }, { ...deps, signal });
        await (await via.get(host())).run(enableDaemonScript(dir, daemon));
      },
      state,
    },
    'stop own daemons': {
      prepare: () => daemonIs('ours'),
      act: async (via) => stopOwnDaemons(await via.get(host()), [daemon, dockerDaemon]),
      state,
    },
    'make a network': {
      prepare: noNetwork,
      act: (via, signal) => makeNetwork(via, undefined, signal),
      state: () => server.run(networkState),
    },
    'replace a network': {
      prepare: async () => void (await makeNetwork(pool, 1350)),
      act: (via, signal) => makeNetwork(via, 1400, signal),
      state: () => server.run(`${networkState}\ncat /sys/class/net/br-t/mtu`),
    },
    'remove a network': {
      claims: true,
      prepare: async () => void (await makeNetwork(pool)),
      act: async (via) => removeNetwork(await via.get(host()), 'test'),
      state: () => server.run(networkState),
    },
    'survey a network': {
      prepare: async () => undefined,
      act: async (via) => parseNetworkFacts(await (await via.get(host())).run(networkFactsScript(host()))),
      state: async () => '',
    },
    'clear a server of containers': {
      claims: true,
      prepare: container,
      act: async (via, signal) =>
        asActivity(signal, () =>
          createTeardownActivities({ pool: via, client: noClient }).clearHost({
            spec: overlay(),
            host: 'server',
            purge: true,
          }),
        ),
      state: containerState,
    },
    'fence a container': {
      claims: true,
      prepare: container,
      act: async (via) => {
        const answer = await fenceNode(
          () => via.get(host()),
          { node: 'node0', base: tree, program: `${dir}/bin/perijove-node`, launch: 3, container: true },
          async () => false,
        );
        // An unknown result is an end, too; the caller asks again.
        if (answer.kind !== 'gone') throw new PerijoveError('SSH_TIMEOUT', answer.kind);
      },
      state: containerState,
    },
    'remove a volume': {
      claims: true,
      prepare: volume,
      act: async (via) => {
        await observeBricks(via, [host()], gluster.volume);
        await planVolume(await via.get(host()), volumeSpec());
        return removeVolume(via, volumeSpec(), gluster);
      },
      state: volumeState,
    },
    'look for an image': {
      prepare: async () => undefined,
      act: async (via, signal) => hostHasImage(await via.get(host()), image, signal),
      state: async () => '',
    },
  };

  it.each(Object.entries(scenarios))(
    '%s harms nothing',
    async (name, scenario) => expectNoHarm(world, name, scenario),
    1_800_000,
  );
});
