import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { evidenceSchema, type Evidence } from '../../../src/drill/evidence.js';
import { isAlive, processStat, signal } from '../../../src/lab/processes.js';
import { eventually } from '../../support/eventually.js';
import type { TestLab } from '../../support/lab.js';

/**
 * What a drill must do under any load: heal, report what it observed, and leave a healthy cluster. The
 * recovery time does not matter here; a busy machine is slow.
 */
export function drillTests(lab: TestLab): void {
  const budget = ['--budget', '2m'];

  const start = (...args: readonly string[]) =>
    lab.start('drill', 'run', ...args, '--file', lab.specFile, '--json');

  /** The evidence of a completed drill, with any verdict. */
  async function drill(...args: readonly string[]): Promise<Evidence> {
    const { stdout, stderr } = await start(...args, ...budget).ended;
    const parsed = evidenceSchema.safeParse(JSON.parse(stdout));
    if (!parsed.success) throw new Error(`${stdout}\n${stderr}`);
    return parsed.data;
  }

  async function code(...args: readonly string[]): Promise<unknown> {
    const { code: exit, stdout } = await start(...args).ended;
    const { error } = JSON.parse(stdout) as { readonly error: { readonly code: string } };
    return [exit, error.code];
  }

  function expectWhole({ invariants }: Evidence): void {
    expect(invariants.filter(({ holds }) => holds === false)).toEqual([]);
    expect(invariants.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        ...['serving', 'routes', 'etcd', 'mesos', 'nodes', 'notebooks'],
        ...['kernels', 'lists', 'closed', 'outputs'],
      ]),
    );
  }

  /** Through every host: the counting kernels of drills. */
  async function left(): Promise<unknown[]> {
    const entrances = await lab.jupyter();
    const lists = await Promise.all(
      entrances.map(async ({ url, token }) => {
        const answer = await fetch(`${url}/api/sessions`, { headers: { authorization: `token ${token}` } });
        return (await answer.json()) as { readonly path: string }[];
      }),
    );
    return lists.flat().filter(({ path: of }) => /^perijove-drill-\d+-counter-/.test(of));
  }

  it('moves etcd’s leadership, reports it, and keeps all invariants', async () => {
    await lab.ready();
    const evidence = await drill('etcd-move');
    expectWhole(evidence);
    expect(evidence).toMatchObject({ number: 1, drill: 'etcd-move' });
    expect(evidence.measures.recoveredMs).not.toBeNull();
    expect(evidence.events.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['fault', 'leader', 'healed', 'whole']),
    );
    expect(evidence.lanes.map(({ host }) => host)).toEqual(['h1', 'h2', 'h3']);
    for (const { http } of evidence.lanes) expect(http.some(({ state }) => state === 'ok')).toBe(true);
    const files = await lab.cells('import os; sorted(os.listdir("."))');
    for (const value of Object.values(files)) expect(value).not.toContain('perijove-drill');
  });

  it.each([
    ['kernel-kill', /the killed kernel on node\d was started again/],
    ['jupyter-kill-follower', /the kernels on node0, node1, node2, node3, node4 run on/],
  ])('sees in the drill %s what became of a kernel on each node, and ends them', async (name, what) => {
    const { jupyter } = await lab.ready();
    const evidence = await drill(name);
    expectWhole(evidence);
    expect(evidence.target).not.toBe(jupyter.node);
    const kernels = evidence.invariants.find((each) => each.name === 'kernels');
    expect(kernels).toMatchObject({ holds: true, what: expect.stringMatching(what) as string });
    for (const node of ['node0', 'node1', 'node2', 'node3', 'node4']) expect(kernels?.what).toContain(node);
    expect(evidence.invariants.find((each) => each.name === 'closed')).toMatchObject({ holds: true });
    expect(await left()).toEqual([]);
  });

  it('shows the evidence again, as text and as a picture', async () => {
    const picture = path.join(path.dirname(lab.stateDir), 'drill.svg');
    const report = await lab.json<Evidence>('drill', 'report', '1', '--svg', picture);
    expect(report).toMatchObject({ number: 1, drill: 'etcd-move' });
    expect(readFileSync(picture, 'utf8')).toContain('</svg>');
    expect(await lab.run('drill', 'report', '1', '--file', lab.specFile)).toContain('invariants');
  });

  it('rejects unknown and impossible drills', async () => {
    expect(await code('no-such-drill')).toEqual([2, 'DRILL_UNKNOWN']);
    expect(await code('host-crash', '--target', 'h9')).toEqual([2, 'UNKNOWN_TARGET']);
    expect(await code('partition')).toEqual([4, 'DRILL_NOT_POSSIBLE']);
  });

  it('heals a paused etcd even if every worker dies meanwhile, and rejects a second drill', async () => {
    await lab.ready();
    // Looked up before: a warm cluster recovers within a second or two, and the workers must die before that.
    const members = [...lab.allResidents()].flatMap(([name, member]) =>
      name.includes('/etcd ') ? [member] : [],
    );
    const workers = lab.workers();
    const running = start('etcd-pause', ...budget);
    const paused = () => members.find(({ pid }) => processStat(pid)?.state === 'T');
    const etcd = await eventually('an etcd is paused', paused, 90_000);
    for (const worker of workers) signal(worker, 'SIGKILL');
    await eventually('every worker is dead', () => workers.every((worker) => !isAlive(worker)));
    expect(await code('etcd-move')).toEqual([4, 'DRILL_RUNNING']);
    lab.startWorker();
    lab.startWorker();
    const { stdout, stderr } = await running.ended;
    const evidence = evidenceSchema.parse(JSON.parse(stdout), { error: () => `${stdout}\n${stderr}` });
    expectWhole(evidence);
    expect(isAlive(etcd)).toBe(true);
    expect(processStat(etcd.pid)?.state).not.toBe('T');
    // A time without probes is not a time without failures.
    expect(evidence.lanes.some(({ http }) => http.some(({ state }) => state === 'gap'))).toBe(true);
  });

  it('suspends the leading Mesos master, which exits with a reason and follows', async () => {
    await lab.ready();
    const { mesos } = await lab.status();
    const evidence = await drill('master-suspend');
    expectWhole(evidence);
    expect(evidence.target).toBe(mesos.leader);
    const held = Object.fromEntries(evidence.invariants.map(({ name, what }) => [name, what]));
    expect(held['master']).toMatch(/logged "Lost leadership\.\.\. .* it follows h/);
    expect(held['tasks']).toMatch(/the same 5 tasks/);
    const kinds = evidence.events.map(({ kind }) => kind);
    expect(kinds.indexOf('mesos-no-leader')).toBeLessThan(kinds.indexOf('mesos-leader'));
    expect((await lab.status()).mesos.leader).not.toBe(mesos.leader);
  });

  it('starts a stopped agent even if every worker dies meanwhile, and fences none of its nodes', async () => {
    await lab.ready();
    const agents = [...lab.allResidents()].flatMap(([name, agent]) =>
      name.includes('/mesos-agent.mjs ') ? [agent] : [],
    );
    expect(agents).toHaveLength(3);
    const running = start('agent-stop', ...budget);
    await eventually('an agent is stopped', () => agents.some((agent) => !isAlive(agent)), 90_000);
    for (const worker of lab.workers()) signal(worker, 'SIGKILL');
    lab.startWorker();
    lab.startWorker();
    const { stdout, stderr } = await running.ended;
    const evidence = evidenceSchema.parse(JSON.parse(stdout), { error: () => `${stdout}\n${stderr}` });
    expectWhole(evidence);
    expect(evidence.measures.recoveredMs).not.toBeNull();
    expect(evidence.events.some(({ what }) => /marked the agent on h\d unreachable/.test(what))).toBe(true);
    expect(evidence.invariants.find(({ name }) => name === 'tasks')?.what).toMatch(/the same 5 tasks/);
    expect((await lab.status()).mesos.agents.map(({ state }) => state)).toEqual(Array(3).fill('registered'));
  });

  it('kills the worker that runs the scheduler, and starts another one', async () => {
    await lab.ready();
    const { framework } = await lab.status();
    const evidence = await drill('worker-kill');
    expectWhole(evidence);
    expect(
      evidence.events.some(({ what }) => what.includes(`SIGKILL to worker ${framework.scheduler}`)),
    ).toBe(true);
    const workers = lab.workers().map(({ pid }) => pid);
    expect(workers).not.toContain(Number(framework.scheduler?.split('@')[0]));
    expect(workers.length).toBeGreaterThanOrEqual(2);
  });

  it('is cancelled by Ctrl-C, and heals first', async () => {
    await lab.ready();
    const before = [...lab.allResidents().keys()].filter((name) => name.includes('/etcd '));
    const members = [...lab.allResidents()].flatMap(([name, member]) =>
      name.includes('/etcd ') ? [member] : [],
    );
    const running = start('etcd-pause', ...budget);
    const isPaused = () => members.some(({ pid }) => processStat(pid)?.state === 'T');
    await eventually('an etcd is paused', isPaused, 90_000);
    running.child.kill('SIGINT');
    const { code: exit, stdout } = await running.ended;
    expect([exit, JSON.parse(stdout)]).toMatchObject([130, { error: { code: 'INTERRUPTED' } }]);
    expect(isPaused()).toBe(false);
    expect(await left()).toEqual([]);
    expect([...lab.allResidents().keys()].filter((name) => name.includes('/etcd '))).toEqual(before);
    await lab.ready();
  });

  it('rejects an unhealthy cluster', async () => {
    await lab.ready();
    await lab.lab('crash', 'h3');
    expect(await code('etcd-move')).toEqual([4, 'DRILL_UNHEALTHY']);
    await lab.lab('boot', 'h3');
    await lab.ready(180_000);
  });
}
