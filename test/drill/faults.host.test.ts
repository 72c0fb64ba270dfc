/**
 * Processes that drills kill and restart, behind a real sshd with real runit; also with failing observations.
 */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startBricksScript } from '../../src/drill/faults/brick-kill.js';
import type { FaultDeps } from '../../src/drill/faults/kind.js';
import { processSignal, type ProcessSignal } from '../../src/drill/faults/process-signal.js';
import { serviceStop, type ServiceStop } from '../../src/drill/faults/service-stop.js';
import { processesOfKernels, sameScript } from '../../src/drill/marks.js';
import { hostServices, initDriver, type HostServices } from '../../src/hosts/services.js';
import { directReach } from '../../src/ssh/reach.js';
import { eventually } from '../support/eventually.js';
import { makeSpec } from '../support/spec.js';
import { startSshd, type TestSshd } from '../support/sshd.js';
import { silentPool } from '../support/ssh-pool.js';

const startOf = (pid: number) =>
  Number(
    readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')[19],
  );
const stateOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '')[0];

describe('a process mark', () => {
  const empty = mkdtempSync(path.join(tmpdir(), 'perijove-empty-'));
  afterAll(() => rmSync(empty, { recursive: true }));
  /** Without any program: only the shell is used. */
  const same = (pid: number | string, start: number) =>
    spawnSync('/bin/sh', ['-c', `${sameScript}\nsame '${pid}' ${start}`], { env: { PATH: empty } }).status;

  it('distinguishes an ended process, and another one with the same PID', () => {
    expect(same(process.pid, startOf(process.pid))).toBe(0);
    expect(same(process.pid, startOf(process.pid) + 1)).toBe(1);
    expect(same(99_999_999, 1)).toBe(1);
  });

  it('matches whatever the process’s name is', async () => {
    const dir = mkdtempSync(path.join(tmpdir(), 'perijove-name-'));
    const program = path.join(dir, 'a) S 1 \n(');
    writeFileSync(program, '#!/bin/sh\nread -r line\n');
    chmodSync(program, 0o755);
    const child = spawn(program, { stdio: ['pipe', 'ignore', 'ignore'] });
    const pid = child.pid ?? 0;
    await eventually('it has its name', () => readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('a)'));
    expect(same(pid, startOf(pid))).toBe(0);
    child.kill('SIGKILL');
    rmSync(dir, { recursive: true });
  });

  it('reports an unknown or unreadable process as undetermined', () => {
    expect(same('', 1)).toBe(3);
    expect(same('NaN', 1)).toBe(3);
    expect(same(`${process.pid}/fdinfo`, 1)).toBe(3);
  });
});

describe('the processes of a kernel', () => {
  it('are found by the environment, and no others', async () => {
    const kernel = randomUUID();
    const start = (of: string) =>
      spawn('/bin/sleep', ['100'], { env: { PERIJOVE_NODE_KERNEL: of }, stdio: 'ignore' });
    const children = [start(kernel), start(`${kernel}0`), start(randomUUID())];
    const found = () =>
      spawnSync('/bin/sh', ['-c', processesOfKernels([randomUUID(), kernel])], { encoding: 'utf8' }).stdout;
    try {
      await eventually('it is found', () => found() !== '');
      expect(found()).toBe(`${kernel} ${children[0]?.pid}\n`);
    } finally {
      for (const child of children) child.kill('SIGKILL');
    }
    await eventually('it is gone', () => found() === '');
  });
});

describe('a service', () => {
  let sshd: TestSshd;
  let known: string;
  let deps: FaultDeps;
  let services: HostServices;
  const service = 'mesos-agent';
  const status = async () => (await services.status([service]))[0];
  const plan = async (): Promise<ServiceStop> => {
    const pid = (await status())?.pid ?? 0;
    return {
      kind: 'service-stop',
      host: 'h1',
      id: `${pid}`,
      service,
      process: { pid, start: startOf(pid) },
    };
  };

  beforeAll(async () => {
    sshd = await startSshd({ address: '127.27.9.50' });
    known = mkdtempSync(path.join(tmpdir(), 'perijove-known-'));
    const host = { ...sshd.host(), name: 'h1', init: 'runit' as const };
    const pool = silentPool(known);
    deps = { spec: makeSpec({ hosts: [host] }), pool, reach: directReach };
    services = await hostServices(await pool.get(host), 'test');
    mkdirSync(path.join(host.dir, 'etc/services'), { recursive: true });
    await services.install({
      name: service,
      description: 'a service',
      exec: ['/bin/sleep', '1000'],
      env: {},
      restartOn: [],
    });
  });
  beforeEach(() => services.start(service));
  afterEach(() => services.stop(service));
  afterAll(async () => {
    await services?.remove(service);
    const connection = await deps.pool.get(deps.spec.hosts[0] ?? sshd.host());
    await connection.run(initDriver(connection.host, 'test', 'runit').removeAllScript());
    await deps.pool.close();
    await sshd?.remove();
    rmSync(known, { recursive: true, force: true });
  });

  it('that the drill stopped is started again, once', async () => {
    const fault = await plan();
    await serviceStop.inject(deps, fault);
    expect(await status()).toMatchObject({ state: 'stopped' });
    await serviceStop.inject(deps, fault);
    await serviceStop.heal(deps, fault);
    expect(await status()).toMatchObject({ state: 'running' });
    await services.stop(service);
    await serviceStop.heal(deps, fault);
    expect(await status()).toMatchObject({ state: 'stopped' });
  });

  it('that was stopped before the drill stays stopped', async () => {
    const fault = await plan();
    await services.stop(service);
    await serviceStop.inject(deps, fault);
    await serviceStop.heal(deps, fault);
    expect(await status()).toMatchObject({ state: 'stopped' });
  });

  it.each(['KILL', 'STOP'] as const)('runs again after SIG%s, unless somebody stopped it', async (signal) => {
    const { process: mark } = await plan();
    const fault: ProcessSignal = { kind: 'process-signal', host: 'h1', signal, service, process: mark };
    await processSignal.inject(deps, fault);
    // The kernel stops a process at its next step.
    if (signal === 'STOP') await eventually('it is stopped', () => stateOf(mark.pid) === 'T');
    await processSignal.heal(deps, fault);
    await eventually('it runs', async () => (await status())?.state === 'running');
    if (signal === 'STOP') expect(stateOf(mark.pid)).not.toBe('T');
    await services.stop(service);
    await processSignal.heal(deps, fault);
    expect(await status()).toMatchObject({ state: 'stopped' });
  });
});

describe('the bricks of a volume', () => {
  let dir: string;
  const calls = () =>
    existsSync(path.join(dir, 'calls')) ? readFileSync(path.join(dir, 'calls'), 'utf8') : '';
  beforeEach(() => {
    dir = mkdtempSync(path.join(tmpdir(), 'perijove-gluster-'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));
  const run = (answer: string) => {
    const program = path.join(dir, 'gluster');
    writeFileSync(
      program,
      `#!/bin/sh\ncase $3 in info) ${answer} ;; *) echo "$*" >>'${dir}/calls' ;; esac\n`,
    );
    chmodSync(program, 0o755);
    const env = { PATH: `${dir}:/usr/bin:/bin` };
    return spawnSync('/bin/sh', ['-c', startBricksScript('notebooks')], { env }).status;
  };

  it('are started on the volume’s host', () => {
    expect(run("printf 'Volume Name: notebooks\\nStatus: Started\\n'")).toBe(0);
    expect(calls()).toBe('--mode=script volume start notebooks force\n');
  });

  it.each([
    ['was stopped', "printf 'Volume Name: notebooks\\nStatus: Stopped\\n'", 0],
    ['was deleted', "echo 'Volume notebooks does not exist'; exit 1", 0],
    ['is unreachable', 'echo no connection; exit 1', 1],
    ['is not printed', 'exit 0', 1],
    ['is half printed', "printf 'Volume Name: notebooks\\nSta'", 1],
  ])('stay where it %s', (_what, answer, code) => {
    expect(run(answer)).toBe(code);
    expect(calls()).toBe('');
  });
});
