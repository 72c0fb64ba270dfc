/**
 * The original loops, as the baseline: in each node and on each host a program asks every etcd member who
 * leads, sequentially with a connect timeout of one second, and then sleeps for 5 s. A node that newly leads
 * starts Jupyter; one that no longer leads kills it. A host whose leader has changed kills its proxy and
 * starts another one. The origin read `/v2/stats/self`; in etcd 3.4 `/v3/maintenance/status` reports the
 * same. In its favour here: every host routes directly to the leader's node, and a lost node returns.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Entrance } from './lab.js';

const sleepMs = 5_000;
const connectMs = 1_000;
/** Distinct from the lab's ports. */
const jupyterPort = 9_998;
const proxyPort = 9_997;
const token = 'origin';
const stockProxy = fileURLToPath(import.meta.resolve('configurable-http-proxy/bin/configurable-http-proxy'));

interface Member {
  readonly node: string;
  readonly address: string;
}

/** Address of the member that reports itself as leader; undefined if none does. */
async function leaderOf(members: readonly Member[]): Promise<Member | undefined> {
  let leader: Member | undefined;
  for (const member of members) {
    try {
      const answer = await fetch(`http://${member.address}:2379/v3/maintenance/status`, {
        method: 'POST',
        body: '{}',
        signal: AbortSignal.timeout(connectMs),
      });
      const status = (await answer.json()) as { header?: { member_id?: string }; leader?: string };
      if (status.leader !== undefined && status.leader === status.header?.member_id) leader = member;
    } catch {
      // Not alive.
    }
  }
  return leader;
}

/** One of the origin's programs: acts when the leader differs from the last poll. */
class Loop {
  private readonly ending = new AbortController();
  private readonly running: Promise<void>;
  private child: ChildProcess | undefined;

  constructor(
    private readonly members: readonly Member[],
    private readonly command: (leader: Member | undefined) => readonly string[] | undefined,
  ) {
    this.running = this.run();
  }

  /** Ends it with everything it started, as the death of its machine would. */
  async kill(): Promise<void> {
    this.ending.abort();
    await this.replace(undefined);
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.ending;
    let last: string | undefined = 'nobody has looked yet';
    while (!signal.aborted) {
      const leader = await leaderOf(this.members);
      if (signal.aborted) return;
      if (leader?.node !== last) await this.replace(this.command(leader));
      last = leader?.node;
      await delay(sleepMs, undefined, { signal }).catch(() => undefined);
    }
  }

  private async replace(command: readonly string[] | undefined): Promise<void> {
    const before = this.child;
    this.child = undefined;
    if (before?.exitCode === null && before.signalCode === null) {
      before.kill('SIGKILL');
      await once(before, 'exit');
    }
    if (!command || this.ending.signal.aborted) return;
    const [program = '', ...words] = command;
    this.child = spawn(program, words, { stdio: 'ignore' });
  }
}

export class Origin {
  private readonly notebooks = mkdtempSync(path.join(tmpdir(), 'perijove-origin-'));
  private readonly nodes = new Map<string, Loop>();
  private readonly hosts: Loop[] = [];
  readonly entrances: readonly Entrance[];

  /** @param jupyterLab the lab's own program */
  constructor(
    private readonly members: readonly Member[],
    entrances: readonly Entrance[],
    private readonly jupyterLab: string,
  ) {
    this.entrances = entrances.map((entrance) => ({ ...entrance, port: proxyPort, token }));
    for (const { node } of members) this.startNode(node);
    for (const { address } of entrances) {
      this.hosts.push(
        new Loop(members, (leader) => [
          process.execPath,
          stockProxy,
          `--default-target=http://${leader?.address ?? address}:${jupyterPort}`,
          `--ip=${address}`,
          `--port=${proxyPort}`,
          `--api-ip=${address}`,
        ]),
      );
    }
  }

  killNode(node: string): void {
    void this.nodes.get(node)?.kill();
    this.nodes.delete(node);
  }

  startNode(node: string): void {
    const own = this.members.find((member) => member.node === node);
    if (!own || this.nodes.has(node)) return;
    this.nodes.set(
      node,
      new Loop(this.members, (leader) =>
        leader?.node === node
          ? [
              this.jupyterLab,
              `--IdentityProvider.token=${token}`,
              `--ServerApp.ip=${own.address}`,
              `--ServerApp.port=${jupyterPort}`,
              '--ServerApp.port_retries=0',
              '--ServerApp.open_browser=False',
              '--ServerApp.allow_root=True',
              `--ServerApp.root_dir=${this.notebooks}`,
            ]
          : undefined,
      ),
    );
  }

  async end(): Promise<void> {
    await Promise.all([...this.nodes.values(), ...this.hosts].map((loop) => loop.kill()));
    rmSync(this.notebooks, { recursive: true, force: true });
  }
}
