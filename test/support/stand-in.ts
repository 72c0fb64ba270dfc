import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request, type ClientRequest, type IncomingMessage, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { vi } from 'vitest';
import { masterAuthentication } from '../../src/stand-in/authentication.js';
import type { AgentLink } from '../../src/stand-in/master/cluster.js';
import { makeMasterInfo } from '../../src/stand-in/election.js';
import { masterFlags, parseFlags } from '../../src/stand-in/flags.js';
import { listen } from '../../src/stand-in/http.js';
import { Log } from '../../src/stand-in/log.js';
import { handleMasterRequest } from '../../src/stand-in/master/http.js';
import type { MasterProcess } from '../../src/stand-in/master/process.js';
import { Master } from '../../src/stand-in/master/master.js';
import type { TaskStatus } from '../../src/stand-in/messages.js';
import { readMessage } from '../../src/stand-in/proto.js';
import { fromAgentKind, type ToAgent } from '../../src/stand-in/protocol.js';
import { parseResources, toApi } from '../../src/stand-in/resources.js';
import { memoryRegistry } from '../../src/stand-in/master/registry.js';
import { UpdateStream } from '../../src/stand-in/agent/update-stream.js';
import { RecordDecoder } from '../../src/mesos/scheduler/recordio.js';

/** A log without output. */
export class SilentLog extends Log {
  override info(): void {
    return;
  }
  override warn(): void {
    return;
  }
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

/**
 * The queried master: the leader, a follower, one that knows no leader, or one that is elected without a
 * quorum.
 */
export type Asked = 'leader' | 'follower' | 'lonely' | 'alone';

/**
 * The stand-in's masters in this process, like the recorded ones: the leader at 127.0.0.1:15070 with ID
 * `b0adfe1d-…`, a follower at 15050. They serve HTTP on another port.
 */
export class StandIn {
  readonly info = makeMasterInfo('b0adfe1d-25db-405f-87b8-ae8a5847391d', '127.0.0.1', '127.0.0.1', 15_070);
  readonly log = new SilentLog();
  readonly master = new Master(
    this.info,
    {
      agentPingTimeoutMs: 15_000,
      maxAgentPingTimeouts: 5,
      agentReregisterTimeoutMs: 600_000,
      allocationIntervalMs: 1_000,
      maxCompletedFrameworks: 50,
      maxCompletedTasks: 1_000,
    },
    memoryRegistry(),
    this.log,
  );
  readonly ip: string;
  readonly #servers = new Map<Asked, { readonly server: Server; readonly port: number }>();
  readonly #requests = new Set<ClientRequest>();

  /** @param ip used only by this test file, in 127.0.0.0/8 */
  constructor(ip: string) {
    this.ip = ip;
  }

  /** @param more flags of all masters */
  async start(more: readonly string[] = []): Promise<void> {
    const flags = parseFlags(
      masterFlags,
      [
        ...['--zk=zk://127.0.0.1:21810/mesos', '--quorum=2', '--ip=127.0.0.1', '--port=15070'],
        ...['--hostname=127.0.0.1', '--work_dir=/w', '--log_dir=/l', '--cluster=probe', '--webui_dir=/u'],
        ...more,
      ],
      {},
    );
    const other = makeMasterInfo('4162c27d-207d-4fd5-8ea3-a4870afe237f', '127.0.0.1', '127.0.0.1', 15_050);
    const authentication = masterAuthentication(flags);
    const contenders = [
      { sequence: 3, info: this.info },
      { sequence: 5, info: other },
    ];
    const base = {
      contenders,
      flags,
      authentication,
      startedAt: Date.now(),
      electedAt: undefined,
      master: undefined,
    };
    const processes: Readonly<Record<Asked, MasterProcess>> = {
      leader: { ...base, info: this.info, electedAt: Date.now(), leader: this.info, master: this.master },
      follower: { ...base, info: other, leader: this.info },
      lonely: { ...base, info: other, leader: undefined },
      alone: { ...base, info: other, electedAt: Date.now(), leader: other },
    };
    for (const name of ['leader', 'follower', 'lonely', 'alone'] as const) {
      const server = await listen(this.ip, 0, (incoming, response) =>
        handleMasterRequest(processes[name], this.log, incoming, response),
      );
      const address = server.address();
      if (address === null || typeof address === 'string') throw new Error('no port');
      this.#servers.set(name, { server, port: address.port });
    }
  }

  async stop(): Promise<void> {
    for (const each of this.#requests) each.destroy();
    await Promise.all(
      [...this.#servers.values()].map(async ({ server }) => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }),
    );
    for (const framework of this.master.cluster.frameworks.values()) {
      clearTimeout(framework.failover);
      clearInterval(framework.heartbeat);
    }
  }

  portOf(asked: Asked): number {
    const port = this.#servers.get(asked)?.port;
    if (port === undefined) throw new Error(`${asked} does not run`);
    return port;
  }

  /** Sends a request and waits for the head of the reply. */
  async open(
    asked: Asked,
    method: string,
    url: string,
    headers: Readonly<Record<string, string>> = {},
    body?: string,
  ): Promise<IncomingMessage> {
    const sent = request({
      host: this.ip,
      port: this.portOf(asked),
      method,
      path: url,
      headers,
      agent: false,
    });
    this.#requests.add(sent);
    sent.on('error', () => undefined);
    sent.end(body);
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    return response;
  }

  /** Sends a request and waits for the end of the reply. */
  async ask(...what: Parameters<StandIn['open']>): Promise<Answer> {
    const response = await this.open(...what);
    const chunks: Buffer[] = [];
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      text: Buffer.concat(chunks).toString(),
    };
  }

  /** Sends SUBSCRIBE with this body. */
  async subscribe(body: string): Promise<Stream> {
    const headers = { 'content-type': 'application/json', accept: 'application/json' };
    return new Stream(await this.open('leader', 'POST', '/api/v1/scheduler', headers, body));
  }
}

/** A scheduler's event stream, read as it arrives. */
export class Stream {
  readonly records: Record<string, unknown>[] = [];
  ended = false;
  readonly #response: IncomingMessage;

  constructor(response: IncomingMessage) {
    this.#response = response;
    const decoder = new RecordDecoder();
    response.on('data', (chunk: Buffer) => {
      for (const record of decoder.push(chunk)) {
        this.records.push(JSON.parse(record.toString()) as Record<string, unknown>);
      }
    });
    response.on('end', () => {
      decoder.end();
      this.ended = true;
    });
    response.on('error', () => undefined);
  }

  get status(): number {
    return this.#response.statusCode ?? 0;
  }

  get headers(): IncomingMessage['headers'] {
    return this.#response.headers;
  }

  get id(): string {
    return String(this.headers['mesos-stream-id']);
  }

  close(): void {
    this.#response.destroy();
  }
}

/**
 * An agent that runs nothing and replays the recorded statuses of another agent's tasks, at the recorded
 * times. Updates are resent, and sent one at a time, as in the stand-in's own agent.
 */
export class RecordedAgent implements AgentLink {
  readonly #master: Master;
  readonly #dir = mkdtempSync(path.join(tmpdir(), 'perijove-recorded-agent-'));
  readonly #statuses: readonly TaskStatus[];
  readonly #streams = new Map<string, UpdateStream>();
  #id = '';

  /** @param statuses with a `uuid`, in order; their agents, tasks and times are those of the test */
  constructor(master: Master, statuses: readonly TaskStatus[]) {
    this.#master = master;
    this.#statuses = statuses;
  }

  async register(): Promise<void> {
    const resources = parseResources('cpus:2;mem:1024;disk:2048;ports:[31000-31100]');
    if (resources === undefined) throw new Error('no resources');
    const message = readMessage(fromAgentKind, {
      type: 'REGISTER',
      register: {
        agent: {
          hostname: '127.0.0.1',
          ip: '127.0.0.1',
          port: 15_051,
          version: '1.3.2',
          resources: toApi(resources),
          attributes: [
            { name: 'rack', type: 'TEXT', text: { value: 'r1' } },
            { name: 'zone', type: 'TEXT', text: { value: 'z1' } },
          ],
        },
      },
    });
    if (message.register === undefined) throw new Error('no registration');
    this.#id = await this.#master.agents.register(message.register, this);
    setInterval(() => this.#master.observer.answered(this.#id), 5_000);
  }

  send({ launch, kill, acknowledge }: ToAgent): void {
    if (launch) {
      const frameworkId = launch.framework.id?.value ?? '';
      const taskId = launch.task.task_id.value;
      const stream = new UpdateStream(path.join(this.#dir, taskId), (status, latest) => {
        const message = readMessage(fromAgentKind, {
          type: 'UPDATE',
          update: { framework_id: frameworkId, status, latest_state: latest.state },
        });
        if (message.update) this.#master.updates.forward(this.#id, message.update);
      });
      stream.flush();
      this.#streams.set(taskId, stream);
      this.#play(taskId, ({ state }) => !state.startsWith('TASK_KILL'));
    }
    if (kill) this.#play(kill.task_id, ({ state }) => state.startsWith('TASK_KILL'));
    if (acknowledge) this.#streams.get(acknowledge.task_id)?.acknowledge(acknowledge.uuid);
  }

  close(): void {
    for (const stream of this.#streams.values()) stream.pause();
  }

  remove(): void {
    this.close();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #play(taskId: string, which: (status: TaskStatus) => boolean): void {
    for (const status of this.#statuses) {
      if (status.task_id.value !== taskId || !which(status)) continue;
      const delayMs = Math.max(1, (status.timestamp ?? 0) * 1_000 - Date.now());
      setTimeout(() => this.#streams.get(taskId)?.add(status), delayMs);
    }
  }
}

/** Advances the faked clock until the condition holds; real sockets are served in between. */
export async function passTimeUntil(what: string, holds: () => boolean): Promise<void> {
  for (let turns = 0; turns < 5_000; turns += 1) {
    if (holds()) return;
    await new Promise((resolve) => setImmediate(resolve));
    if (turns % 10 === 9) await vi.advanceTimersByTimeAsync(50);
  }
  throw new Error(`not within 25 s of faked time: ${what}`);
}
