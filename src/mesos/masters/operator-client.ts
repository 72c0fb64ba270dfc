/** What anyone may ask a Mesos master, without being a framework. */
import * as z from 'zod';
import { messageOf, PerijoveError } from '../../errors/error.js';
import type { Endpoint } from '../../ssh/connection.js';
import { limit } from '../../net/deadline.js';
import { httpRequest, textOf } from '../../net/http.js';
import { authorization, redirectTarget, refusal, type Credential, type MasterAddress } from './http.js';
import type { MaintenanceWindow } from '../scheduler/maintenance.js';
import type { Label } from '../scheduler/types.js';

export interface OperatorOptions {
  readonly credential?: Credential;
  /** For the whole call; 5,000 by default. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface AgentInfo {
  readonly id: string;
  readonly hostname: string;
  /** IPv4 address and port that the agent registered with. */
  readonly address: string;
  readonly port: number;
  readonly active: boolean;
  /** When it last registered with this master: seconds since the epoch. */
  readonly registeredAt: number;
  /** Attributes with their values as text. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly cpus: number;
  readonly memoryMebibytes: number;
}

export interface TaskFacts {
  readonly id: string;
  readonly agentId: string;
  readonly state: `TASK_${string}`;
  readonly labels: readonly Label[];
}

export interface FrameworkFacts {
  readonly id: string;
  readonly name: string;
  readonly active: boolean;
  readonly connected: boolean;
  /** Seconds since the epoch: first with a master, and again with another one or after a disconnection. */
  readonly registeredAt: number | undefined;
  readonly reregisteredAt: number | undefined;
  readonly labels: readonly Label[];
  readonly principal?: string;
  /** Tasks that are not terminal, as far as agents have reported them. */
  readonly tasks: readonly TaskFacts[];
  readonly unreachableTasks: readonly TaskFacts[];
}

export interface MasterState {
  readonly version: string;
  /** `master@address:port` of the leading master. */
  readonly leader: string;
  /** Seconds since the epoch. */
  readonly electedAt: number | undefined;
  readonly agents: readonly AgentInfo[];
  /** Agents of the registry that have not registered with this master yet. */
  readonly recoveredAgents: number;
  readonly frameworks: readonly FrameworkFacts[];
  /** IDs of frameworks that were torn down, or were disconnected for too long. */
  readonly completedFrameworks: readonly string[];
}

const labels = z.array(z.object({ key: z.string(), value: z.string().default('') })).default([]);

const taskSchema = z.object({
  id: z.string(),
  slave_id: z.string(),
  state: z.templateLiteral(['TASK_', z.string()]),
  labels,
});

const agentsSchema = z.object({
  slaves: z.array(
    z.object({
      id: z.string(),
      hostname: z.string(),
      pid: z.string(),
      active: z.boolean(),
      registered_time: z.number().default(0),
      reregistered_time: z.number().optional(),
      attributes: z.record(z.string(), z.unknown()).default({}),
      resources: z.object({ cpus: z.number().default(0), mem: z.number().default(0) }),
    }),
  ),
  recovered_slaves: z.array(z.unknown()).default([]),
});

const stateSchema = agentsSchema.extend({
  version: z.string(),
  leader: z.string(),
  elected_time: z.number().optional(),
  frameworks: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      active: z.boolean(),
      connected: z.boolean().default(true),
      registered_time: z.number().optional(),
      reregistered_time: z.number().optional(),
      labels,
      principal: z.string().optional(),
      tasks: z.array(taskSchema).default([]),
      unreachable_tasks: z.array(taskSchema).default([]),
    }),
  ),
  completed_frameworks: z.array(z.object({ id: z.string() })).default([]),
});

/**
 * `/state` of the leading master.
 *
 * @throws PerijoveError MESOS_UNREACHABLE (also when this master does not lead), MESOS_CREDENTIAL_REFUSED,
 * MESOS_REFUSED, MESOS_BAD_STREAM
 */
export async function masterState(endpoint: Endpoint, options: OperatorOptions = {}): Promise<MasterState> {
  const state = await getJson(endpoint, '/state', stateSchema, options);
  return {
    version: state.version,
    leader: state.leader,
    electedAt: state.elected_time,
    agents: state.slaves.map(agentOf),
    recoveredAgents: state.recovered_slaves.length,
    frameworks: state.frameworks.map((framework) => ({
      id: framework.id,
      name: framework.name,
      active: framework.active,
      connected: framework.connected,
      registeredAt: framework.registered_time,
      reregisteredAt: framework.reregistered_time,
      labels: framework.labels,
      ...(framework.principal !== undefined && { principal: framework.principal }),
      tasks: framework.tasks.map(factsOf),
      unreachableTasks: framework.unreachable_tasks.map(factsOf),
    })),
    completedFrameworks: state.completed_frameworks.map(({ id }) => id),
  };
}

export interface MasterAgents {
  readonly agents: readonly AgentInfo[];
  /** Agents of the registry that have not registered with this master yet. */
  readonly recoveredAgents: number;
}

/** `/slaves` of the leading master. @throws like `masterState` */
export async function masterAgents(endpoint: Endpoint, options: OperatorOptions = {}): Promise<MasterAgents> {
  const answer = await getJson(endpoint, '/slaves', agentsSchema, options);
  return { agents: answer.slaves.map(agentOf), recoveredAgents: answer.recovered_slaves.length };
}

const nanoseconds = z.object({ nanoseconds: z.number() });

const scheduleSchema = z.object({
  windows: z
    .array(
      z.object({
        machine_ids: z
          .array(z.object({ hostname: z.string().optional(), ip: z.string().optional() }))
          .default([]),
        unavailability: z.object({ start: nanoseconds, duration: nanoseconds.optional() }),
      }),
    )
    .default([]),
});

/** `/maintenance/schedule` of the leading master. @throws like `masterState` */
export async function maintenanceSchedule(
  endpoint: Endpoint,
  options: OperatorOptions = {},
): Promise<readonly MaintenanceWindow[]> {
  const { windows } = await getJson(endpoint, '/maintenance/schedule', scheduleSchema, options);
  return windows.map(({ machine_ids: machines, unavailability: { start, duration } }) => {
    const startMs = start.nanoseconds / 1e6;
    return {
      machines: machines.map(({ hostname, ip }) => ({
        ...(hostname !== undefined && { hostname }),
        ...(ip !== undefined && { ip }),
      })),
      startMs,
      ...(duration !== undefined && { endMs: startMs + duration.nanoseconds / 1e6 }),
    };
  });
}

/** The state of a master, leading or not, from its own `/metrics/snapshot`. */
export interface MasterMetrics {
  readonly uptimeSeconds: number | undefined;
  /** Its replica of the replicated log takes part. */
  readonly logRecovered: boolean | undefined;
  /** How many masters have the log, if this version of Mesos reports it. */
  readonly logEnsembleSize: number | undefined;
}

/** In Mesos 1.3 only the registrar reports on the log; later versions have metrics of the log itself. */
const metricsSchema = z.object({
  'master/uptime_secs': z.number().optional(),
  'log/recovered': z.number().optional(),
  'log/ensemble_size': z.number().optional(),
  'registrar/log/recovered': z.number().optional(),
  'registrar/log/ensemble_size': z.number().optional(),
});

/** @throws like `masterState` */
export async function masterMetrics(
  endpoint: Endpoint,
  options: OperatorOptions = {},
): Promise<MasterMetrics> {
  const metrics = await getJson(endpoint, '/metrics/snapshot', metricsSchema, options);
  const recovered = metrics['log/recovered'] ?? metrics['registrar/log/recovered'];
  return {
    uptimeSeconds: metrics['master/uptime_secs'],
    logRecovered: recovered === undefined ? undefined : recovered === 1,
    logEnsembleSize: metrics['log/ensemble_size'] ?? metrics['registrar/log/ensemble_size'],
  };
}

/**
 * Like `masterState`, for a master that has read its registry. An elected master that still waits for its
 * quorum also answers `/state`, as if there were no agents and frameworks; it refuses calls of the v1 API.
 *
 * @throws PerijoveError MESOS_UNREACHABLE (also for a master that has not finished recovery),
 * MESOS_CREDENTIAL_REFUSED, MESOS_REFUSED, MESOS_BAD_STREAM
 */
export async function recoveredState(
  endpoint: Endpoint,
  options: OperatorOptions = {},
): Promise<MasterState> {
  const call = { type: 'GET_HEALTH' };
  const answer = await ask(endpoint, '/api/v1', options, call);
  if (answer.status !== 200) throw refusal(answer.status, answer.body, endpoint, call.type);
  return await masterState(endpoint, options);
}

/** Whether this master responds at all, leading or not. Does not throw when it does not. */
export async function masterHealth(endpoint: Endpoint, options: OperatorOptions = {}): Promise<boolean> {
  try {
    return (await ask(endpoint, '/health', options)).status === 200;
  } catch (error) {
    if (error instanceof PerijoveError && error.code === 'MESOS_UNREACHABLE') return false;
    throw error;
  }
}

/**
 * The master that this master considers the leader; undefined when it knows none.
 *
 * @throws PerijoveError MESOS_UNREACHABLE, MESOS_BAD_STREAM
 */
export async function masterLeader(
  endpoint: Endpoint,
  options: OperatorOptions = {},
): Promise<MasterAddress | undefined> {
  const answer = await ask(endpoint, '/redirect', options);
  if (answer.status === 503) return undefined;
  const leader = answer.status === 307 ? redirectTarget(answer.location) : undefined;
  if (leader === undefined) throw refusal(answer.status, answer.body, endpoint, 'GET /redirect');
  return leader;
}

/**
 * Whether this master's replica of the registry's log takes part; false also for a replica that is empty and
 * still catches up, and when no metric reports it.
 *
 * @throws PerijoveError MESOS_UNREACHABLE, MESOS_BAD_STREAM, MESOS_CREDENTIAL_REFUSED
 */
export async function hasRecoveredLog(endpoint: Endpoint, options: OperatorOptions = {}): Promise<boolean> {
  return (await masterMetrics(endpoint, options)).logRecovered === true;
}

export interface MasterVersion {
  readonly version: string;
  /** It is the lab's stand-in, not Apache Mesos. */
  readonly standIn: boolean;
}

const versionSchema = z.object({ version: z.string(), stand_in: z.boolean().default(false) });

/** @throws PerijoveError MESOS_UNREACHABLE, MESOS_BAD_STREAM */
export async function masterVersion(
  endpoint: Endpoint,
  options: OperatorOptions = {},
): Promise<MasterVersion> {
  const { version, stand_in: standIn } = await getJson(endpoint, '/version', versionSchema, options);
  return { version, standIn };
}

function agentOf(agent: z.infer<typeof agentsSchema>['slaves'][number]): AgentInfo {
  const { id, hostname, pid, active, attributes, resources } = agent;
  return {
    id,
    registeredAt: agent.reregistered_time ?? agent.registered_time,
    hostname,
    ...addressOf(pid),
    active,
    attributes: Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, String(value)])),
    cpus: resources.cpus,
    memoryMebibytes: resources.mem,
  };
}

function factsOf(task: z.infer<typeof taskSchema>): TaskFacts {
  return { id: task.id, agentId: task.slave_id, state: task.state, labels: task.labels };
}

/** `slave(1)@10.0.0.1:5051` */
function addressOf(pid: string): { address: string; port: number } {
  const match = /@(.+):(\d+)$/.exec(pid);
  return { address: match?.[1] ?? '', port: Number(match?.[2] ?? 0) };
}

async function getJson<T>(
  endpoint: Endpoint,
  path: string,
  schema: z.ZodType<T>,
  options: OperatorOptions,
): Promise<T> {
  const answer = await ask(endpoint, path, options);
  if (answer.status !== 200) throw refusal(answer.status, answer.body, endpoint, `GET ${path}`);
  try {
    return schema.parse(JSON.parse(answer.body));
  } catch (cause) {
    throw new PerijoveError(
      'MESOS_BAD_STREAM',
      `the server at ${endpoint.host}:${endpoint.port} did not answer GET ${path} like a Mesos master`,
      { subject: `${endpoint.host}:${endpoint.port}`, cause },
    );
  }
}

/** GET, or POST of a call. */
async function ask(
  endpoint: Endpoint,
  path: string,
  { credential, timeoutMs = 5_000, signal }: OperatorOptions,
  call?: { readonly type: string },
): Promise<{ status: number; body: string; location: string | undefined }> {
  const time = limit(timeoutMs, signal);
  const base = `http://${endpoint.host}:${endpoint.port}`;
  try {
    const answer = await httpRequest(`${base}${path}`, {
      headers: {
        ...authorization(credential),
        accept: 'application/json',
        ...(call === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(call === undefined ? {} : { method: 'POST', body: JSON.stringify(call) }),
      signal: time.signal,
    });
    const { location } = answer.headers;
    return {
      status: answer.status,
      body: await textOf(answer),
      location,
    };
  } catch (cause) {
    signal?.throwIfAborted();
    const why = time.passed ? `no response within ${timeoutMs} ms` : messageOf(cause);
    throw new PerijoveError('MESOS_UNREACHABLE', `the Mesos master at ${base} does not respond: ${why}`, {
      subject: base,
      cause,
    });
  } finally {
    time.end();
  }
}
