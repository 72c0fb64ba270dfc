import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { RecordDecoder } from '../../src/mesos/scheduler/recordio.js';
import { eventually } from './eventually.js';
import { builtProgram } from './programs.js';

/** The value at a path of keys, whatever is on the way. */
export function at(value: unknown, ...keys: readonly (string | number)[]): unknown {
  return keys.reduce<unknown>(
    (inner, key) =>
      typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>)[key] : undefined,
    value,
  );
}

/** A stand-in program as a real process, in its own directory. */
export class MesosProgram {
  readonly address: { readonly ip: string; readonly port: number };
  readonly dir: string;
  output = '';
  #child: ChildProcess | undefined;

  constructor(
    readonly program: 'mesos-master' | 'mesos-agent',
    readonly ip: string,
    readonly flags: readonly string[],
    readonly environment: Readonly<Record<string, string>> = {},
  ) {
    this.address = { ip, port: program === 'mesos-master' ? 5050 : 5051 };
    this.dir = mkdtempSync(path.join(tmpdir(), `perijove-${program}-`));
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error(`${this.program} does not run`);
    return this.#child.pid;
  }

  get workDir(): string {
    return path.join(this.dir, 'work');
  }

  /** Starts it with its current directory, and resolves when it responds. */
  async start(): Promise<void> {
    const [file] = await Promise.all([builtProgram(this.program), builtProgram('mesos-executor')]);
    const child = spawn(
      process.execPath,
      [
        '--max-old-space-size=64',
        '--max-semi-space-size=1',
        file,
        `--ip=${this.ip}`,
        `--port=${this.address.port}`,
        `--hostname=${this.ip}`,
        `--work_dir=${this.workDir}`,
        ...this.flags,
      ],
      { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...this.environment } },
    );
    child.stderr.on('data', (chunk: Buffer) => (this.output += chunk.toString('utf8')));
    this.#child = child;
    const ended = once(child, 'exit').then(() => {
      throw new Error(`${this.program} ended: ${this.output.slice(-2_000)}`);
    });
    ended.catch(() => undefined);
    await Promise.race([
      ended,
      eventually(
        `${this.program} at ${this.ip} answers`,
        async () => (await this.get('/health')).status === 200,
      ),
    ]);
  }

  /** SIGKILLs only this process. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name);
  }

  /** Its exit code or signal. */
  async ended(): Promise<{ readonly code: number | null; readonly signal: string | null }> {
    const child = this.#child;
    if (!child) throw new Error(`${this.program} was not started`);
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    return { code: child.exitCode, signal: child.signalCode };
  }

  async get(url: string): Promise<Response> {
    return await fetch(`http://${this.ip}:${this.address.port}${url}`, {
      redirect: 'manual',
      signal: AbortSignal.timeout(5_000),
    });
  }

  async json(url: string): Promise<unknown> {
    return await (await this.get(url)).json();
  }

  async post(url: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    return await fetch(`http://${this.ip}:${this.address.port}${url}`, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'content-type': 'application/json', accept: 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      signal: AbortSignal.timeout(5_000),
    });
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

interface SchedulerEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** A test framework: one stream, everything received on it, and calls. */
export class TestScheduler {
  readonly events: SchedulerEvent[] = [];
  streamId = '';
  frameworkId = '';
  ended = false;
  #response: IncomingMessage | undefined;
  readonly #answered = new Set<string>();
  /** UUIDs of acknowledged updates. */
  readonly #acknowledged = new Set<unknown>();

  constructor(
    readonly master: MesosProgram,
    readonly info: Readonly<Record<string, unknown>> = {},
  ) {}

  /** Subscribes, with an ID if the framework has one. */
  async subscribe(frameworkId?: string): Promise<this> {
    const id = frameworkId === undefined ? {} : { id: { value: frameworkId } };
    const call = {
      type: 'SUBSCRIBE',
      ...(frameworkId !== undefined && { framework_id: { value: frameworkId } }),
      subscribe: {
        framework_info: {
          user: 'root',
          name: 'test',
          failover_timeout: 3600,
          checkpoint: true,
          capabilities: [{ type: 'TASK_KILLING_STATE' }, { type: 'PARTITION_AWARE' }],
          ...this.info,
          ...id,
        },
      },
    };
    const sent = request({
      host: this.master.ip,
      port: this.master.address.port,
      path: '/api/v1/scheduler',
      method: 'POST',
      agent: false,
      headers: { 'content-type': 'application/json', accept: 'application/json' },
    });
    sent.end(JSON.stringify(call));
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    if (response.statusCode !== 200) throw new Error(`SUBSCRIBE: ${response.statusCode ?? ''}`);
    this.#response = response;
    this.streamId = String(response.headers['mesos-stream-id']);
    const decoder = new RecordDecoder();
    response.on('data', (chunk: Buffer) => {
      for (const record of decoder.push(chunk)) {
        const event = JSON.parse(record.toString('utf8')) as SchedulerEvent;
        this.events.push(event);
        // An agent killed before it received an acknowledgement resends the update.
        const status = at(event, 'update', 'status');
        if (this.#acknowledged.has(at(status, 'uuid'))) void this.acknowledge(status);
      }
    });
    response.on('error', () => undefined);
    response.on('close', () => (this.ended = true));
    const first = await eventually('the first event', () => this.events[0]);
    this.frameworkId = String(at(first, 'subscribed', 'framework_id', 'value'));
    return this;
  }

  async call(type: string, section: unknown = undefined): Promise<Response> {
    return await this.master.post(
      '/api/v1/scheduler',
      {
        type,
        framework_id: { value: this.frameworkId },
        ...(section !== undefined && { [type.toLowerCase()]: section }),
      },
      { 'mesos-stream-id': this.streamId },
    );
  }

  /** The first matching event after `from`. */
  async event(
    what: string,
    fits: (event: SchedulerEvent) => boolean,
    options: { readonly from?: number; readonly timeoutMs?: number } = {},
  ): Promise<SchedulerEvent> {
    return await eventually(
      `event ${what}`,
      () => this.events.slice(options.from ?? 0).find(fits),
      options.timeoutMs,
    );
  }

  /** The newest offer neither rescinded nor used. */
  async offer(): Promise<{ readonly id: string; readonly agentId: string }> {
    return await eventually('an offer', () => {
      const rescinded = this.events.map((event) => at(event, 'rescind', 'offer_id', 'value'));
      const offered = this.events.flatMap((event) => (at(event, 'offers', 'offers') ?? []) as unknown[]);
      return offered
        .map((offer) => ({
          id: String(at(offer, 'id', 'value')),
          agentId: String(at(offer, 'agent_id', 'value')),
        }))
        .findLast(({ id }) => !this.#answered.has(id) && !rescinded.includes(id));
    });
  }

  /** Launches a shell command on the newest offer, and resolves to its agent. */
  async launch(
    taskId: string,
    command: string,
    more: Readonly<Record<string, unknown>> = {},
  ): Promise<string> {
    const { id, agentId } = await this.offer();
    const response = await this.call('ACCEPT', {
      offer_ids: [{ value: id }],
      operations: [
        {
          type: 'LAUNCH',
          launch: {
            task_infos: [
              {
                name: taskId,
                task_id: { value: taskId },
                agent_id: { value: agentId },
                resources: [
                  { name: 'cpus', type: 'SCALAR', scalar: { value: 0.5 } },
                  { name: 'mem', type: 'SCALAR', scalar: { value: 32 } },
                ],
                command: { shell: true, value: command },
                ...more,
              },
            ],
          },
        },
      ],
      filters: { refuse_seconds: 0 },
    });
    this.#answered.add(id);
    if (response.status !== 202) throw new Error(`ACCEPT: ${response.status} ${await response.text()}`);
    return agentId;
  }

  /** The status of that task with that state. */
  async status(
    taskId: string,
    state: string,
    options: { readonly from?: number; readonly timeoutMs?: number } = {},
  ): Promise<unknown> {
    const event = await this.event(
      `UPDATE ${taskId} ${state}`,
      (candidate) =>
        candidate.type === 'UPDATE' &&
        at(candidate, 'update', 'status', 'task_id', 'value') === taskId &&
        at(candidate, 'update', 'status', 'state') === state,
      options,
    );
    return at(event, 'update', 'status');
  }

  async acknowledge(status: unknown): Promise<void> {
    this.#acknowledged.add(at(status, 'uuid'));
    await this.call('ACKNOWLEDGE', {
      agent_id: at(status, 'agent_id'),
      task_id: at(status, 'task_id'),
      uuid: at(status, 'uuid'),
    });
  }

  close(): void {
    this.#response?.destroy();
  }
}
