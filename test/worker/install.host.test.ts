/** `perijove worker install` where systemd really runs the machine. */
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { findTemporal } from '../../src/temporal/server.js';
import { eventually } from '../support/eventually.js';
import { hasSystemdImage, systemdContainer } from '../support/systemd.js';

const root = path.resolve(import.meta.dirname, '../..');
const container = systemdContainer(`perijove-test-worker-${process.pid}`);
const unit = '/etc/systemd/system/perijove-worker.service';
const temporal = '127.0.0.1:7233';

async function run(script: string): Promise<string> {
  const { code, stdout, stderr } = await container.exec(script);
  expect(code, stderr).toBe(0);
  return stdout;
}
const property = async (name: string) =>
  (await run(`systemctl show --value --property ${name} perijove-worker`)).trim();
const journal = () => run('journalctl --unit perijove-worker --output cat');
const isReady = async () => (await journal()).includes('the worker is ready');
const perijove = `node ${root}/bin/perijove.js`;

describe.skipIf(!hasSystemdImage)('a worker as a service of systemd', () => {
  beforeAll(async () => {
    const { executable } = await findTemporal();
    await container.start(
      ...['--volume', `${root}:${root}:ro`, '--volume', `${process.execPath}:/usr/local/bin/node:ro`],
      ...['--volume', `${executable}:/usr/local/bin/temporal:ro`],
    );
    await run('useradd --create-home ops');
    await run(
      'systemd-run --unit temporal temporal server start-dev --headless --search-attribute ' +
        'PerijoveCluster=Keyword --search-attribute PerijoveStage=Keyword',
    );
  });
  afterAll(() => container.remove());
  afterEach(async () => {
    await container.exec(
      `rm -f ${unit}; systemctl kill --signal KILL perijove-worker; systemctl daemon-reload`,
    );
  });

  it('runs as the user who calls sudo, is started again after it was killed, and ends with its unit', async () => {
    const printed = await run(`SUDO_USER=ops ${perijove} worker install --yes --temporal ${temporal}`);
    expect(printed).toContain('User=ops');
    await eventually('the worker is ready', isReady);
    const first = await property('MainPID');
    expect((await run(`ps -o user= -p ${first}`)).trim()).toBe('ops');
    expect(await property('UnitFileState')).toBe('enabled');

    await run(`kill -KILL ${first}`);
    await eventually('another one runs', async () => !['0', first].includes(await property('MainPID')));
    expect(await property('NRestarts')).toBe('1');

    const second = await property('MainPID');
    expect(await run(`${perijove} worker uninstall`)).toBe(`removed ${unit}\n`);
    expect((await container.exec(`kill -0 ${second}`)).code).not.toBe(0);
    expect((await container.exec(`test -e ${unit}`)).code).toBe(1);
    expect(await property('LoadState')).toBe('not-found');
    expect(await run(`${perijove} worker uninstall`)).toBe(`nothing to remove: ${unit} does not exist\n`);
  });

  it('waits for a Temporal server that is not there yet', async () => {
    await run(`${perijove} worker install --yes --temporal 127.0.0.1:7299`);
    await eventually('the worker says so', async () => (await journal()).includes('127.0.0.1:7299'));
    expect(await property('ActiveState')).toBe('active');
    await run(`${perijove} worker uninstall`);
  });

  it('leaves a unit of the same name alone that somebody else wrote', async () => {
    await run(`printf '[Service]\\nExecStart=/bin/sleep 1000\\n' >${unit}; systemctl start perijove-worker`);
    for (const action of ['install --yes', 'uninstall']) {
      const { code, stderr } = await container.exec(`${perijove} worker ${action}`);
      expect(code).not.toBe(0);
      expect(stderr).toContain('WORKER_INSTALL_REFUSED');
    }
    expect(await property('ActiveState')).toBe('active');
    expect(await run(`cat ${unit}`)).toContain('/bin/sleep 1000');
  });

  it('is one of a user’s own with --user', async () => {
    await run('loginctl enable-linger ops');
    const asOps = (command: string) =>
      run(`exec runuser -u ops -- env HOME=/home/ops XDG_RUNTIME_DIR=/run/user/$(id -u ops) ${command}`);
    await eventually(
      'the manager of the user runs',
      async () => (await container.exec('systemctl is-active user@$(id -u ops)')).stdout.trim() === 'active',
    );
    await asOps(`${perijove} worker install --user --yes --temporal ${temporal}`);
    const state = await asOps('systemctl --user is-active perijove-worker');
    expect(state.trim()).toBe('active');
    await asOps(`${perijove} worker uninstall --user`);
    expect((await container.exec('pgrep -u ops -f "perijove.js worker"')).code).toBe(1);
  });
});
