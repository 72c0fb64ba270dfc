/** Everything that Perijove sends to a host without systemd, with each observation broken in each way. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { asyncLocalStorage, type Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { createSecretsActivities } from '../../src/activities/secrets.js';
import { createTeardownActivities } from '../../src/activities/teardown.js';
import { locateNode } from '../../src/cli/targets.js';
import { PerijoveError } from '../../src/errors/error.js';
import { unpackArchive } from '../../src/hosts/archives.js';
import { converge, type ConvergeDeps } from '../../src/hosts/converge.js';
import { gatherFacts } from '../../src/hosts/facts.js';
import { readMark, writeMark } from '../../src/hosts/identity.js';
import { noItems, type HostItems, type ServiceItem } from '../../src/hosts/items.js';
import { reloadFile } from '../../src/hosts/record.js';
import { removeHost, removeItems } from '../../src/hosts/remove.js';
import { hostServices } from '../../src/hosts/services.js';
import { observeMesos } from '../../src/mesos/installation/installation.js';
import { masterService } from '../../src/mesos/installation/items.js';
import { mesosPaths } from '../../src/mesos/installation/paths.js';
import { observeSilentMaster, setAside } from '../../src/mesos/masters/set-aside.js';
import { nodeConfig } from '../../src/node/config.js';
import { fenceNode } from '../../src/node/fence.js';
import { nodeLayout } from '../../src/node/layout.js';
import { sweepScript } from '../../src/node/scripts.js';
import type { SshPool } from '../../src/ssh/connection.js';
import { quote } from '../../src/ssh/shell.js';
import { brokenEnvironment, BrokenCommands } from '../support/broken/commands.js';
import { expectNoHarm } from '../support/broken/report.js';
import type { Scenario, World } from '../support/broken/runs.js';
import type { BareScenario } from '../support/broken/scripts.js';
import { eventually } from '../support/eventually.js';
import { canCopyMachine, startMachine, type TestMachine } from '../support/machine.js';
import { makeGluster, makeSpec } from '../support/spec.js';
import { silentPool } from '../support/ssh-pool.js';

/** Clearing a host does not use Temporal. */
const noClient = {} as Client;
const dir = '/opt/perijove';
const ofOther = { name: 'other', id: '0a4d8a52-9c1b-4d7e-9d5e-3f0a1b2c3d4e' };
/** Other owners' files and processes, with names that begin like ours. */
const setup = `
rm -f /root/.bashrc /root/.profile /root/.bash_profile
mkdir -p /opt/perijove-other/data /opt/other /var/lib/other
mount -t tmpfs none /opt/perijove-other/data
for file in /opt/perijove-other/file /opt/perijove-other/data/file /opt/other/file /etc/other.conf /var/lib/other/file; do echo other > "$file"; done
mkdir -p /opt/other/service/a
printf '#!/bin/sh\\nexec sleep 4321\\n' > /opt/other/service/a/run; chmod 755 /opt/other/service/a/run
(cd /; setsid runsvdir -P /opt/other/service </dev/null >/dev/null 2>&1 &)
(cd /opt/perijove-other; PERIJOVE_NODE_TREE=/opt/perijove-other/data/nodes/node0 setsid sleep 4322 </dev/null >/dev/null 2>&1 &)
until pgrep -f '^sleep 4321' && pgrep -f '^sleep 4322'; do :; done >/dev/null
pgrep -f '^runsvdir -P /opt/other/service|^sleep 432|^runsv a' > /opt/other/pids
`;

/** Prints what is not the cluster's; processes by their start time, which differs after a reuse of the ID. */
const foreignScript = `
find /etc /opt /var/lib/other /usr/local/bin -path ${dir} -prune -o -path '*/supervise/*' -prune -o -type d -printf '%p %m\\n' -o -printf '%p %y %m %s %T@ %i %l\\n' | sort
awk '$5 != "${dir}" && index($5, "${dir}/") != 1 { print "mount", $5 }' /proc/self/mountinfo | sort
for pid in 1 $(cat /opt/other/pids); do
  echo "process $pid $(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f20)"
done`;

/** Prints what is in the base directory, and what runs from it. */
const stateScript = `
[ ! -d ${dir} ] || find ${dir} ! -path '*/supervise*' ! -path '${dir}/log/*' ! -name '*.pid' ! -name '*.failures' ! -name '*.lock' ! -name '*.running*' ! -name '*.reload*' ! -name '*.upload' ! -path '*/run/checksums*' -printf '%p %y %m\\n' | sort
for service in ${dir}/service/*; do [ ! -d "$service" ] || sv status "$service" | sed 's/ (pid.*//; s/: [0-9]*s.*//; s/;.*//'; done
grep ' ${dir}/' /proc/self/mountinfo | cut -d' ' -f5
:`;

describe.runIf(canCopyMachine)('with a broken observation', () => {
  let machine: TestMachine;
  let local: string;
  let pool: SshPool;
  let world: World;
  let deps: ConvergeDeps;
  let archive: { readonly url: string; readonly sha256: string; readonly path: string };

  beforeAll(async () => {
    local = await mkdtemp(path.join(tmpdir(), 'perijove-broken-'));
    await mkdir(path.join(local, 'programs'));
    await writeFile(path.join(local, 'programs', 'tool.mjs'), 'program\n');
    const nodeBinary = path.join(local, 'node');
    await writeFile(nodeBinary, Buffer.alloc(1024 * 1024, 'node'), { mode: 0o755 });
    deps = { artifacts: { programsDir: path.join(local, 'programs'), nodeBinary }, cluster: 'test' };
    const file = path.join(local, 'thing.tar');
    await promisify(execFile)('tar', ['-cf', file, '-C', local, 'programs/tool.mjs']);
    const sha256 = createHash('sha256')
      .update(await readFile(file))
      .digest('hex');
    archive = { url: `file://${file}`, sha256, path: `${dir}/opt/thing` };
    machine = await startMachine({ address: '127.22.31.1', setup, environment: brokenEnvironment });
    pool = silentPool(path.join(local, 'known'));
    const commands = new BrokenCommands(machine);
    await commands.install();
    world = { place: machine, commands, pool, foreign: () => machine.run(foreignScript) };
  });
  afterAll(async () => {
    await pool?.close();
    await machine?.remove();
    await rm(local, { recursive: true, force: true });
  });

  const host = () => machine.host({ init: 'runit' });
  const state = () => machine.run(stateScript);
  const service = (name: string, overrides: Partial<ServiceItem> = {}): ServiceItem => ({
    name,
    description: name,
    exec: ['sleep', '1000'],
    env: {},
    restartOn: [`${dir}/etc/${name}.conf`],
    ...overrides,
  });
  const items = (conf = 'a=1\n'): HostItems => ({
    ...noItems,
    directories: [{ path: `${dir}/data/a`, mode: 0o750 }],
    files: [
      { path: `${dir}/etc/a.conf`, mode: 0o644, source: { kind: 'text', text: conf } },
      { path: `${dir}/bin/node`, mode: 0o755, source: { kind: 'node' } },
    ],
    services: [service('a')],
  });
  /** Its service takes changed files over on SIGHUP. */
  const reloadable = (conf: string): HostItems => ({
    ...items(conf),
    services: [
      service('a', {
        exec: [
          'sh',
          '-c',
          `trap 'cp "$PERIJOVE_RELOAD" "$PERIJOVE_RELOAD.done"' HUP; while :; do sleep 1000 & wait; done`,
        ],
        env: { PERIJOVE_RELOAD: reloadFile({ dir }, 'a') },
        restartOn: [],
        reloadOn: [`${dir}/etc/a.conf`],
      }),
    ],
  });
  const whole = async () => converge(await pool.get(host()), items(), deps);
  const none = async () => removeHost(await pool.get(host()), { purge: true, cluster: 'test' });
  /** A running service, without the rest. */
  const running = async () => {
    await machine.run(`mkdir -p ${dir}/etc ${dir}/data; echo a=1 > ${dir}/etc/a.conf`);
    const services = await hostServices(await pool.get(host()), 'test');
    await services.install(service('a'));
    await services.start('a');
  };
  const withMount = async () => {
    await running();
    await machine.run(
      `mkdir -p ${dir}/data/m ${dir}/bin; echo x > ${dir}/bin/x; grep -q ' ${dir}/data/m ' /proc/self/mountinfo || mount -t tmpfs none ${dir}/data/m`,
    );
  };
  const spec = () => makeSpec({ name: 'test', hosts: [host()] });
  const asActivity = <T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> =>
    asyncLocalStorage.run({ cancellationSignal: signal } as Context, work);
  /** Stands for the tree of a node: a process with its mark, and its program. */
  const tree = `${dir}/data/nodes/node0`;
  const nodeRuns = async () => {
    const sweep = sweepScript(nodeConfig(spec(), 0, host()));
    await machine.run(`mkdir -p ${tree}/bin ${tree}/run ${dir}/bin; touch ${dir}/bin/perijove-node
printf '%s' ${quote(sweep.text)} > ${tree}/bin/sweep; chmod 755 ${tree}/bin/sweep
rm -f ${nodeLayout(tree).fence}
pgrep -f '^sleep 5432' >/dev/null || { cd /; PERIJOVE_NODE_TREE=${tree} setsid sleep 5432 </dev/null >/dev/null 2>&1 & }`);
    await eventually(async () => (await machine.run(nodeState)).includes('sleep'));
  };
  const nodeState = `pgrep -f '^sleep 5432' >/dev/null && echo sleep; cat ${nodeLayout(tree).fence} 2>/dev/null; ls ${dir} 2>/dev/null; :`;
  const masterLeft = async () => {
    await running();
    const paths = mesosPaths(host());
    await machine.run(`rm -rf ${paths.masterWork} ${paths.masterWork}.broken* ${paths.masterLog}
mkdir -p ${paths.masterWork} ${paths.masterLog}; echo replica > ${paths.masterWork}/log`);
    const services = await hostServices(await pool.get(host()), 'test');
    await services.install(service(masterService, { restartOn: [] }));
    await services.start(masterService);
  };

  const scenarios: Readonly<Record<BareScenario, Scenario>> = {
    'converge a bare host': {
      prepare: async () => void (await none()),
      act: async (via, signal) => converge(await via.get(host()), items(), { ...deps, signal }),
      state,
    },
    'converge a change': {
      prepare: async () => void (await whole()),
      act: async (via, signal) => converge(await via.get(host()), items('a=2\n'), { ...deps, signal }),
      state,
    },
    'reload a service': {
      prepare: async () => void (await converge(await pool.get(host()), reloadable('a=1\n'), deps)),
      act: async (via, signal) => converge(await via.get(host()), reloadable('a=2\n'), { ...deps, signal }),
      state,
    },
    'stop, start and restart a service': {
      prepare: running,
      act: async (via) => {
        const services = await hostServices(await via.get(host()), 'test');
        await services.stop('a');
        await services.start('a');
        await services.restart('a');
      },
      state,
    },
    'remove a service': {
      claims: true,
      prepare: running,
      act: async (via) => (await hostServices(await via.get(host()), 'test')).remove('a'),
      state,
    },
    'status and log of a service': {
      prepare: running,
      act: async (via) => {
        const services = await hostServices(await via.get(host()), 'test');
        await services.status(['a', 'b']);
        await services.logs('a', 5);
        await services.kill('a', 'CONT');
      },
      state,
    },
    'remove items': {
      claims: true,
      prepare: running,
      act: async (via) => removeItems(await via.get(host()), items(), { cluster: 'test' }),
      state,
    },
    'remove a host': {
      claims: true,
      prepare: withMount,
      act: async (via) => removeHost(await via.get(host()), { purge: false, cluster: 'test' }),
      state,
    },
    'purge a host': {
      claims: true,
      prepare: withMount,
      act: async (via) => removeHost(await via.get(host()), { purge: true, cluster: 'test' }),
      state,
    },
    'clear a host': {
      claims: true,
      prepare: async () => {
        await withMount();
        await nodeRuns();
      },
      act: async (via, signal) =>
        asActivity(signal, () =>
          createTeardownActivities({ pool: via, client: noClient }).clearHost({
            spec: makeSpec({ name: 'test', hosts: [host()], storage: makeGluster() }),
            host: 'machine',
            purge: false,
          }),
        ),
      state: async () => `${await state()}${await machine.run(nodeState)}`,
    },
    'fence a node': {
      claims: true,
      prepare: nodeRuns,
      act: async (via) => {
        const answer = await fenceNode(
          () => via.get(host()),
          { node: 'node0', base: tree, program: `${dir}/bin/perijove-node`, launch: 3 },
          async () => false,
        );
        // An unknown result is an end, too; the caller asks again.
        if (answer.kind !== 'gone') throw new PerijoveError('SSH_TIMEOUT', answer.kind);
      },
      state: () => machine.run(nodeState),
    },
    'set a broken replica aside': {
      prepare: masterLeft,
      act: async (via) =>
        setAside(
          await via.get(host()),
          { name: 'test' },
          { at: Math.floor(Date.now() / 1_000), why: 'broken' },
        ),
      state: async () =>
        machine.run(
          `cd ${dir}/data; find . -name 'mesos-master*' -o -path '*broken/*' | sort; sed 's/[-0-9]*//g' mesos-master.broken/record; sv status ${dir}/service/${masterService} | cut -c1-4`,
        ),
    },
    'look at a silent master': {
      prepare: masterLeft,
      act: async (via) => observeSilentMaster(await via.get(host()), 'test'),
      state: async () => '',
    },
    'provide secrets': {
      prepare: async () => void (await machine.run(`rm -rf ${dir}/etc/secrets; mkdir -p ${dir}/etc`)),
      act: async (via, signal) =>
        asActivity(signal, () => createSecretsActivities({ pool: via }).ensureSecrets({ spec: spec() })),
      state: () => machine.run(`cd ${dir}/etc/secrets && stat -c '%n %a %h' -- * 2>/dev/null | sort || :`),
    },
    'keep secrets': {
      prepare: async () => void (await machine.run(`mkdir -p ${dir}/etc`)),
      act: async (via, signal) =>
        asActivity(signal, () => createSecretsActivities({ pool: via }).ensureSecrets({ spec: spec() })),
      state: () => machine.run(`cd ${dir}/etc/secrets && sha256sum *; stat -c '%n %a' *`),
    },
    'mark a host': {
      prepare: async () =>
        void (await machine.run(
          `mkdir -p ${dir}/etc; rm -rf ${dir}/etc/cluster*; echo '${JSON.stringify(ofOther)}' > ${dir}/etc/cluster`,
        )),
      act: async (via, signal) => {
        const connection = await via.get(host());
        await readMark(connection, signal);
        await writeMark(connection, { name: 'test', id: '6f3b1f0e-5a49-4f55-8f0e-0d6f6a1b2c3d' }, signal);
      },
      state: () => machine.run(`cd ${dir}/etc && sha256sum cluster; stat -c '%n %a' cluster`),
    },
    'unpack an archive': {
      prepare: async () =>
        void (await machine.run(
          `rm -rf ${dir}/opt; mkdir -p ${dir}/opt/thing ${dir}/run; echo old > ${dir}/opt/thing/old`,
        )),
      act: async (via, signal) => unpackArchive(await via.get(host()), archive, signal),
      state: () => machine.run(`find ${dir}/opt -type f | sort`),
    },
    'survey a host': {
      prepare: running,
      act: async (via, signal) => {
        const connection = await via.get(host());
        await gatherFacts(
          connection,
          {
            packages: ['runit'],
            daemons: [],
            ports: [2200],
            programs: ['sh'],
            addresses: ['127.0.0.1'],
            writable: [`${dir}/x/y`],
            apart: [dir],
            dirs: [dir],
          },
          { signal },
        );
        await observeMesos(
          connection,
          makeSpec({ hosts: [host()], mesos: { install: { kind: 'path', path: '/opt/other' } } }),
          { signal },
        );
      },
      state,
    },
    'locate a node': {
      prepare: nodeRuns,
      act: async (via) => locateNode(via, spec(), 'node0'),
      state: async () => '',
    },
  };

  it.each(Object.entries(scenarios))(
    '%s harms nothing',
    async (name, scenario) => expectNoHarm(world, name, scenario),
    1_800_000,
  );
});
