import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import * as z from 'zod';
import { nodeAddress } from '../../src/cluster/spec.js';
import { createEtcdClient } from '../../src/etcd/client.js';
import { openAccess, type EtcdAccess } from '../../src/etcd/security.js';
import { hostPaths } from '../../src/hosts/paths.js';
import { isAlive, signal } from '../../src/lab/processes.js';
import { leadingMaster, type MasterInfo } from '../../src/mesos/masters/detector.js';
import { authorization, parseCredential } from '../../src/mesos/masters/http.js';
import { directReach } from '../../src/ssh/reach.js';
import type { StageName } from '../../src/deployment/stages.js';
import { frameworkState, workflowIds } from '../../src/temporal/contract.js';
import { labEtcdAccess } from '../support/etcd.js';
import { eventually } from '../support/eventually.js';
import { TestLab } from '../support/lab.js';
import { Users } from '../support/users.js';

const example = path.resolve(import.meta.dirname, '../../examples/lab.yaml');

/** The leading master's record of every task it has ever known. */
const masterStateSchema = z.object({
  frameworks: z.array(
    z.object({ principal: z.string(), tasks: z.array(z.unknown()), completed_tasks: z.array(z.unknown()) }),
  ),
  completed_frameworks: z.array(z.unknown()),
});

const stateUrl = ({ address }: Pick<MasterInfo, 'address'>) => `http://${address.ip}:${address.port}/state`;

/** Payloads of a history as text. */
function readable(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : value;
}

/*
 * One first deployment, during which all parts of the deployment machinery die: every worker, several times,
 * and the Temporal server. It leaves Mesos, ZooKeeper and etcd open; the next ones close them.
 */
describe('a deployment', () => {
  const lab = new TestLab('127.30');
  const open = path.join(mkdtempSync(path.join(tmpdir(), 'perijove-open-')), 'cluster.yaml');
  beforeAll(() => {
    const document = parseDocument(readFileSync(example, 'utf8'));
    document.setIn(['mesos', 'security'], 'open');
    document.setIn(['etcd', 'security'], 'open');
    writeFileSync(open, document.toString({ lineWidth: 0 }));
  });
  afterAll(async () => {
    rmSync(path.dirname(open), { recursive: true, force: true });
    await lab.purge();
  });

  /** The secrets of the cluster, read from a host. */
  const secretsOf = async () => {
    const [host] = (await lab.spec()).hosts;
    if (!host) expect.unreachable('a host');
    const { secrets } = hostPaths(host);
    const files = readdirSync(secrets).filter((name) => !name.endsWith('.pub'));
    return new Map(files.map((name) => [name, readFileSync(path.join(secrets, name), 'utf8').trim()]));
  };

  /** A quick stage may be over before it is observed. */
  const begun = (name: StageName) =>
    lab.progress(({ stages }) =>
      stages.some((stage) => stage.name === name && (stage.state === 'running' || stage.state === 'done')),
    );

  async function replaceWorkersDuring(stage: StageName): Promise<void> {
    await begun(stage);
    await lab.killWorkers();
    lab.startWorker();
  }

  it('does not start without a Temporal server', async () => {
    const { code, stdout } = await lab.start('up', '--file', example, '--temporal', '127.30.0.1:1', '--json')
      .ended;
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'TEMPORAL_UNREACHABLE' } });
    expect(code).toBe(3);
  });

  it('succeeds even if all workers and the Temporal server die during it', async () => {
    const first = lab.startUp('--file', open);
    await lab.workersStarted();
    await replaceWorkersDuring('install');
    await replaceWorkersDuring('zookeeper');

    // A deployment of another spec is rejected, and changes nothing in this one.
    const other = path.join(lab.stateDir, 'other.yaml');
    writeFileSync(other, readFileSync(lab.specFile, 'utf8').replace('count: 5', 'count: 3'));
    const refused = await lab.start('up', '--file', other, '--json').ended;
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: 'SPEC_DIFFERS' } });
    expect(refused.code).toBe(4);
    rmSync(other);

    await begun('masters');
    const { temporal } = lab.state;
    if (!temporal) expect.unreachable('the server is written down');
    signal(temporal, 'SIGKILL');
    await expect.poll(() => isAlive(temporal)).toBe(false);
    const second = lab.startUp();
    await expect.poll(() => lab.state.temporal?.pid, { timeout: 60_000 }).not.toBe(temporal.pid);
    await lab.workersStarted();

    await replaceWorkersDuring('framework');
    await replaceWorkersDuring('keeper');

    const { code, stdout, stderr } = await second.ended;
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    // Each command that started it has followed it to the same end, or reported how to.
    expect((await first.ended).code, `${first.stdout}\n${first.stderr}`).toBe(0);
    await lab.ready();
    expect(await lab.cells('6*7')).toEqual({ h1: '42', h2: '42', h3: '42' });
  });

  it('is closed by the next one, with a principal that the framework did not have, under running nodes', async () => {
    const master = await leadingMaster(directReach, await lab.spec());
    if (!master) expect.unreachable('a master leads');
    expect((await fetch(stateUrl(master))).status).toBe(200);
    const document = parseDocument(readFileSync(lab.specFile, 'utf8'));
    document.deleteIn(['mesos', 'security']);
    document.setIn(['mesos', 'principal'], 'lab');
    writeFileSync(lab.specFile, document.toString({ lineWidth: 0 }));
    const output = await lab.run('up', '--file', lab.specFile);
    expect(output).toContain('so that masters accept the principal lab of the framework');
    await lab.ready();
    expect(await lab.cells('6*7')).toEqual({ h1: '42', h2: '42', h3: '42' });
    expect(await lab.run('up', '--file', lab.specFile)).not.toContain('restarted');
  });

  it('has launched nothing twice', async () => {
    const spec = await lab.spec();
    const master = await leadingMaster(directReach, spec);
    if (!master) expect.unreachable('a master leads');
    const url = stateUrl(master);
    expect((await fetch(url)).status).toBe(401);
    const credential = parseCredential((await secretsOf()).get('mesos-credential') ?? '');
    expect(credential.principal).toBe('lab');
    const answer = await fetch(url, { headers: authorization(credential) });
    const state = masterStateSchema.parse(await answer.json());
    expect(state.frameworks.map(({ principal }) => principal)).toEqual(['lab']);
    expect(
      state.frameworks.map(({ tasks, completed_tasks: completed }) => [tasks.length, completed.length]),
    ).toEqual([[5, 0]]);
    expect(state.completed_frameworks).toEqual([]);

    const { launches } = await lab.withTemporal((client) =>
      client.workflow.getHandle(workflowIds.framework(spec.name)).query(frameworkState),
    );
    expect(launches).toBe(5);
  });

  it('closes etcd, node by node: members keep their data, and users are served all the time', async () => {
    const spec = await lab.spec();
    const membersBy = async (access: EtcdAccess) => {
      const place = { host: nodeAddress(spec, 0), port: spec.etcd.clientPort };
      const client = createEtcdClient(place, { access, deadlineMs: 5_000 });
      try {
        return (await client.memberList()).members;
      } finally {
        client.close();
      }
    };
    const before = await membersBy(openAccess);
    const document = parseDocument(readFileSync(lab.specFile, 'utf8'));
    document.deleteIn(['etcd', 'security']);
    writeFileSync(lab.specFile, document.toString({ lineWidth: 0 }));
    const users = new Users(await lab.jupyter());
    const output = await lab.run('up', '--file', lab.specFile).finally(() => users.leave());
    expect(users.failures).toEqual([]);
    expect(output).toContain('members of etcd reach each other');
    await lab.ready();

    const after = await membersBy(await labEtcdAccess(spec));
    expect(after.map(({ id }) => id).toSorted()).toEqual(before.map(({ id }) => id).toSorted());
    for (const url of after.flatMap(({ peerUrls }) => peerUrls)) expect(url).toMatch(/^https:/);
    await expect(membersBy(openAccess)).rejects.toMatchObject({ code: 'ETCD_UNREACHABLE' });
    expect(await lab.run('up', '--file', lab.specFile)).not.toContain('replaced');
  });

  it('keeps its secrets out of histories, command lines, logs and output', async () => {
    const secrets = [...(await secretsOf())].flatMap(([name, text]) =>
      name === 'mesos-credential' ? [[name, parseCredential(text).secret] as const] : [[name, text] as const],
    );
    expect(secrets.map(([name]) => name)).toEqual(
      expect.arrayContaining(['jupyter-token', 'mesos-credential', 'zookeeper-digest', 'node-api-token']),
    );
    const histories = await lab.withTemporal(async (client) => {
      const texts: string[] = [];
      for await (const { workflowId, runId } of client.workflow.list()) {
        const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
        texts.push(JSON.stringify(history, readable));
      }
      return texts;
    });
    expect(histories.length).toBeGreaterThanOrEqual(6);
    const residents = [...lab.allResidents().keys()];
    expect(residents).not.toEqual([]);
    const printed = await Promise.all(
      [
        ['status'],
        ['status', '--json'],
        ['events', '--once'],
        ['logs', 'h1/mesos-master'],
        ['logs', 'h1/zookeeper'],
        ['logs', 'node0'],
      ].map(async (words) => {
        const { code, stdout, stderr } = await lab.start(...words, '--file', lab.specFile).ended;
        expect(code, `${words.join(' ')}: ${stderr}`).toBe(0);
        expect(stdout, words.join(' ')).not.toBe('');
        return stdout;
      }),
    );
    const texts = { histories, residents, printed };
    for (const [name, secret] of secrets) {
      for (const [where, all] of Object.entries(texts)) {
        expect(all.filter((text) => text.includes(secret)).length, `${name} in ${where}`).toBe(0);
      }
    }
  });

  /*
   * The masters' log replicas are really corrupted, as far as the stand-in has them. First two of three: for
   * either, the others are no quorum.
   */
  it('resets a master’s corrupt log only while the others are a quorum, and once an hour', async () => {
    const spec = await lab.spec();
    const { mesos } = await lab.ready();
    const [first, second] = mesos.masters.filter(({ state }) => state === 'standing-by');
    if (!first || !second) expect.unreachable('three masters');
    const dirOf = (name: string) => spec.hosts.find((host) => host.name === name)?.dir ?? '';
    const logOf = (name: string) => path.join(dirOf(name), 'data/mesos-master/replicated_log/000003.log');
    const broken = (name: string) => path.join(dirOf(name), 'data/mesos-master.broken');
    const breakLog = (name: string): void => {
      writeFileSync(logOf(name), 'garbage');
      signal(
        lab.resident(name, (args) => args.some((each) => each.endsWith('/mesos-master.mjs'))),
        'SIGKILL',
      );
    };
    /** The displayed text, without its line breaks. */
    const status = async () =>
      (await lab.start('status', '--file', lab.specFile).ended).stdout.replace(/\s+/g, ' ');
    const follows = (name: string) =>
      lab.eventually(({ mesos: { masters } }) => {
        expect(masters.find(({ host }) => host === name)?.state).toBe('standing-by');
      }, 120_000);
    const leftAlone = (name: string, why: string) =>
      eventually(
        `the master of ${name} is left alone`,
        async () => {
          const text = await status();
          return text.includes(`master on ${name} is broken`) && text.includes(why);
        },
        120_000,
      );

    breakLog(first.host);
    breakLog(second.host);
    await leftAlone(first.host, 'too few other masters are healthy: 1 of the required 2');
    await leftAlone(second.host, 'too few other masters are healthy: 1 of the required 2');
    expect([first.host, second.host].map((name) => readFileSync(logOf(name), 'utf8'))).toEqual([
      'garbage',
      'garbage',
    ]);

    // By hand, as in the origin: then the others are a quorum for the first one.
    rmSync(logOf(second.host));
    await follows(second.host);
    await follows(first.host);
    expect(readFileSync(path.join(broken(first.host), 'work_dir/replicated_log/000003.log'), 'utf8')).toBe(
      'garbage',
    );
    expect(existsSync(broken(second.host))).toBe(false);
    await lab.eventually(({ incidents }) =>
      expect(incidents.map(({ what }) => what).join()).toContain(
        `the replicated log of the Mesos master on ${first.host} was broken ("Failed to recover the log: Corruption`,
      ),
    );

    breakLog(first.host);
    await leftAlone(first.host, 'at most once an hour');
    expect(readFileSync(logOf(first.host), 'utf8')).toBe('garbage');
    rmSync(logOf(first.host));
    await lab.ready();
    await eventually('nothing is said of it any more', async () => !(await status()).includes('is broken'));
  });

  it('comes back by `up` when every part of a kind has died at once', async () => {
    const { framework } = await lab.ready();
    const nodes = framework.tasks.map(({ node }) => node);
    const hosts = (await lab.spec()).hosts.map(({ name }) => name);
    const everywhere = (program: string) =>
      hosts.map((name) => lab.resident(name, (args) => args.some((each) => each.endsWith(program))));
    const parts = {
      nodes: () => nodes.flatMap((node) => lab.nodeProcesses(node)),
      masters: () => everywhere('/mesos-master.mjs'),
      ensemble: () => everywhere('/zoo.cfg'),
    };
    const kinds = [['nodes'], ['masters'], ['ensemble'], ['nodes', 'masters', 'ensemble']] as const;
    for (const kind of kinds) {
      const processes = kind.flatMap((part) => parts[part]());
      expect(processes).not.toEqual([]);
      for (const process of processes) signal(process, 'SIGKILL');
      const { code, stdout, stderr } = await lab.start('up', '--file', lab.specFile).ended;
      expect(code, `${kind.join()}: ${stdout}\n${stderr}`).toBe(0);
      await lab.ready();
      expect(await lab.cells('6*7')).toEqual({ h1: '42', h2: '42', h3: '42' });
    }
  });

  /*
   * Agents change here, since their credential does. Before an agent that serves changes, all nodes must be healthy;
   * the dead one can only be launched by the scheduler, which has given up.
   */
  it('comes back by `up` after the scheduler has given up and a node has died', async () => {
    const { framework } = await lab.ready();
    const follower = framework.tasks.find(({ node }) => node !== 'node0')?.node ?? '';
    for (const host of (await lab.spec()).hosts) {
      const file = path.join(hostPaths(host).secrets, 'mesos-credential');
      const { principal } = parseCredential(readFileSync(file, 'utf8'));
      // Written in place: owner and mode stay.
      writeFileSync(file, `${JSON.stringify({ principal, secret: 'another-secret-0123456789' })}\n`);
    }
    await lab.killWorkers();
    lab.startWorker();
    await lab.eventually(
      (status) => expect(status.framework.failure?.code).toBe('MESOS_CREDENTIAL_REFUSED'),
      120_000,
    );
    for (const process of lab.nodeProcesses(follower)) signal(process, 'SIGKILL');
    const { code, stdout, stderr } = await lab.start('up', '--file', lab.specFile).ended;
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    await lab.ready();
    expect(await lab.cells('6*7')).toEqual({ h1: '42', h2: '42', h3: '42' });
  });
});
