/** The kernels of a drill: how they start, what is observed of them, and how they end. */
import { randomUUID } from 'node:crypto';
import type { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import * as z from 'zod';
import { hostsWithRole, nodeAddress, nodeNames, type ClusterSpec } from '../cluster/spec.js';
import { messageOf } from '../errors/error.js';
import { readSecrets } from '../hosts/secrets.js';
import { CellRun } from '../jupyter/cell.js';
import { endSessions, runCellIn } from '../jupyter/client.js';
import { httpRequest, textOf } from '../net/http.js';
import { proxyAddress, type ProxyAddress } from '../proxy/address.js';
import { doorAgent } from './door.js';
import { closedOf, type Counter, type KernelPlan, type KernelsObservation, type Started } from './kernels.js';
import { processesOfKernels } from './marks.js';
import type { ObservationDeps } from './observe.js';
import type { Invariant } from './evidence.js';

type Deps = Pick<ObservationDeps, 'spec' | 'pool' | 'reach' | 'access'>;

/** Where Jupyter is asked. */
type Place = Pick<ProxyAddress, 'url'> & { readonly agent?: Agent };

/** Starting a kernel takes a second, and many seconds on a busy machine. */
const startMs = 60_000;
const askMs = 2_000;
/** Deleting a session waits until its kernel has ended. */
const deleteMs = 15_000;
const closedMs = 60_000;
const closedEveryMs = 500;
/** A drill is over before. */
const countsForS = 3_600;

const pathOf = (number: number, node: string) => `perijove-drill-${number}-counter-${node}.ipynb`;
const isOfDrill = /^perijove-drill-\d+-counter-node\d+\.ipynb$/;

/** By this name a kernel knows that it was not started again. */
const variable = 'perijove_drill';
const counting = `import sys, time
${variable} = time.monotonic()
step = 0
while time.monotonic() < ${variable} + ${countsForS}:
    sys.stdout.write(f"{step}\\n")
    sys.stdout.flush()
    step += 1
    time.sleep(0.2)`;

const sessionSchema = z.object({ id: z.string(), path: z.string(), kernel: z.object({ id: z.string() }) });
const sessionsSchema = z.array(
  z.object({ id: z.string(), path: z.string().nullish(), kernel: z.object({ id: z.string() }).nullish() }),
);
const kernelsSchema = z.array(z.object({ id: z.string() }));

/**
 * Starts a kernel on each node that counts and prints each number, and ends those that an earlier drill has left. Where
 * none can be started, the reason is part of the result. Never rejects.
 */
export async function startCounters(
  deps: Deps,
  {
    number,
    token,
    hostOf,
  }: {
    readonly number: number;
    /** Jupyter's. */
    readonly token: string;
    readonly hostOf: Readonly<Record<string, string>>;
  },
): Promise<Pick<KernelPlan, 'without'> & { readonly counters: readonly Started[] }> {
  const { spec, pool } = deps;
  const nodes = nodeNames(spec);
  const counters: Started[] = [];
  const without: Record<string, string> = {};
  try {
    const { 'node-kernels-token': door } = await readSecrets(pool, spec, ['node-kernels-token']);
    await endLeftovers(deps, token);
    await Promise.all(
      nodes.map(async (node, index) => {
        const path = pathOf(number, node);
        try {
          const started = await startCounter(deps, { node, path, token, door });
          const { [node]: host = '' } = hostOf;
          counters.push({ node, host, path, ...started, through: watchedThrough(spec, index) });
        } catch (error) {
          without[node] = messageOf(error);
        }
      }),
    );
  } catch (error) {
    for (const node of nodes) without[node] ??= messageOf(error);
  }
  return { counters: counters.toSorted((a, b) => nodes.indexOf(a.node) - nodes.indexOf(b.node)), without };
}

/** Two hosts, where there are that many: a fault of one of them leaves the other. */
function watchedThrough(spec: ClusterSpec, index: number): string[] {
  const hosts = hostsWithRole(spec, 'proxy').map(({ name }) => name);
  return [...new Set([0, 1].flatMap((next) => hosts[(index + next) % hosts.length] ?? []))];
}

async function startCounter(
  { spec, reach }: Deps,
  {
    node,
    path,
    token,
    door,
  }: { readonly node: string; readonly path: string; readonly token: string; readonly door: string },
): Promise<Pick<Counter, 'session' | 'kernel'>> {
  const address = nodeAddress(spec, nodeNames(spec).indexOf(node));
  const agent = doorAgent(() => reach.any(address, spec.nodes.controlPort), door);
  const place: Place = { url: 'http://localhost', agent };
  const signal = AbortSignal.timeout(startMs);
  try {
    const order = { path, name: path, type: 'notebook', kernel: {} };
    const { id, kernel } = await ask(place, token, sessionSchema, {
      ...{ method: 'POST', path: '/api/sessions', body: order, signal },
    });
    await begin(place, token, kernel.id, signal);
    return { session: id, kernel: kernel.id };
  } finally {
    agent.destroy();
  }
}

/** Runs the cell; resolves when its first output is there. */
async function begin(
  { url, agent }: Place,
  token: string,
  kernel: string,
  signal: AbortSignal,
): Promise<void> {
  const socket = new WebSocket(channelsOf(url, kernel, randomUUID()), {
    headers: { authorization: `token ${token}` },
    ...(agent && { agent }),
  });
  const give = () => socket.terminate();
  signal.addEventListener('abort', give, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.on('open', () => socket.send(JSON.stringify(new CellRun(counting, 'perijove-drill').request)));
      socket.on('message', (data, binary) => {
        if (!binary && Buffer.isBuffer(data) && printedIn(data.toString()) !== undefined) resolve();
      });
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('its kernel did not begin to count')));
    });
  } finally {
    signal.removeEventListener('abort', give);
    socket.terminate();
  }
}

export const channelsOf = (url: string, kernel: string, session: string) =>
  `${url.replace(/^http/, 'ws')}/api/kernels/${kernel}/channels?session_id=${session}`;

const streamSchema = z.object({
  header: z.object({ msg_type: z.literal('stream') }),
  content: z.object({ name: z.literal('stdout'), text: z.string() }),
});

/** What a frame of the websocket prints; undefined if it is another message. */
export function printedIn(frame: string): string | undefined {
  try {
    const message = streamSchema.safeParse(JSON.parse(frame));
    return message.success ? message.data.content.text : undefined;
  } catch {
    return undefined;
  }
}

interface Question {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

/** @throws Error if the answer is not that of a Jupyter that agrees */
async function ask<T>(
  { url, agent }: Place,
  token: string,
  schema: z.ZodType<T>,
  { method = 'GET', path, body, signal = AbortSignal.timeout(askMs) }: Question,
): Promise<T> {
  const answer = await httpRequest(`${url}${path}`, {
    ...{ method, agent, signal },
    headers: { authorization: `token ${token}`, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await textOf(answer);
  if (answer.status < 200 || answer.status > 299) throw new Error(`its Jupyter answered ${answer.status}`);
  return schema.parse(text === '' ? undefined : JSON.parse(text));
}

async function endLeftovers(deps: Deps, token: string): Promise<void> {
  await throughAnyHost(deps, async (place) => {
    const sessions = await ask(place, token, sessionsSchema, { path: '/api/sessions' });
    const left = sessions.flatMap(({ path }) => (path && isOfDrill.test(path) ? [path] : []));
    for (const path of left) await endSessions(place.url, token, path, place);
  });
}

/** Ends what is left of a drill's kernels, wherever they are. Resolves to whether the union of all nodes has none. */
export async function endCounters(
  deps: Deps,
  token: string,
  counters: readonly Pick<Counter, 'path'>[],
): Promise<boolean> {
  try {
    await throughAnyHost(deps, async (place) => {
      for (const { path } of counters) {
        await endSessions(place.url, token, path, { ...place, timeoutMs: deleteMs });
      }
    });
    return true;
  } catch {
    return false;
  }
}

/** @throws the error of the first host, if it works through none */
async function throughAnyHost<T>(deps: Deps, work: (place: Place) => Promise<T>): Promise<T> {
  let first: unknown;
  for (const host of hostsWithRole(deps.spec, 'proxy')) {
    try {
      return await work(await proxyAddress(deps.spec, host, deps));
    } catch (error) {
      first ??= error;
    }
  }
  throw first;
}

/** One observation of all kernels. Never rejects: what does not answer is not known. */
export async function observeKernels(
  deps: Deps,
  token: string,
  { counters }: KernelPlan,
  counting: KernelsObservation['counting'],
): Promise<KernelsObservation> {
  const again = counters.filter(({ fate }) => fate === 'restarted');
  const [listed, byNode, processes, restarted] = await Promise.all([
    listedThroughHosts(deps, token),
    kernelsByNode(deps),
    countProcesses(deps, counters).catch(() => undefined),
    Promise.all(again.map(async ({ node, kernel }) => [node, await isNew(deps, token, kernel)] as const)),
  ]);
  return {
    ...{ listed, byNode, counting, restarted: Object.fromEntries(restarted) },
    ...(processes && { processes }),
  };
}

async function listedThroughHosts(deps: Deps, token: string): Promise<KernelsObservation['listed']> {
  const lists = await Promise.all(
    hostsWithRole(deps.spec, 'proxy').map(async (host) => {
      try {
        const place = await proxyAddress(deps.spec, host, deps);
        const [kernels, sessions] = await Promise.all([
          ask(place, token, kernelsSchema, { path: '/api/kernels' }),
          ask(place, token, sessionsSchema, { path: '/api/sessions' }),
        ]);
        const owners = sessions.map(({ id, kernel }) => ({ id, ...(kernel && { kernel: kernel.id }) }));
        return [host.name, { kernels: kernels.map(({ id }) => id), sessions: owners }] as const;
      } catch {
        return [host.name, null] as const;
      }
    }),
  );
  return Object.fromEntries(lists);
}

async function kernelsByNode({ spec, access }: Deps): Promise<KernelsObservation['byNode']> {
  const nodes = await Promise.all(
    nodeNames(spec).map(async (node) => {
      const kernels = await access
        .node(node, (client) => client.kernels())
        .then((found) => found.kernels.map(({ id }) => id))
        .catch(() => null);
      return [node, kernels] as const;
    }),
  );
  return Object.fromEntries(nodes);
}

/** By kernel. In a lab the hosts see the same processes. @throws PerijoveError SSH_*, COMMAND_FAILED */
async function countProcesses(
  { spec, pool }: Deps,
  counters: readonly Counter[],
): Promise<NonNullable<KernelsObservation['processes']>> {
  const kernels = counters.map(({ kernel }) => kernel);
  const found = await Promise.all(
    hostsWithRole(spec, 'agent').map(async (host) => {
      const connection = await pool.get(host);
      const output = await connection.run(
        `read -r boot </proc/sys/kernel/random/boot_id || exit 1
space=$(readlink /proc/self/ns/pid) || exit 1
${processesOfKernels(kernels)} | sed "s|\\$| $boot $space|"`,
        { timeoutMs: 10_000 },
      );
      return output.split('\n').filter(Boolean);
    }),
  );
  const lines = [...new Set(found.flat())];
  return Object.fromEntries(
    kernels.map((kernel) => [kernel, lines.filter((line) => line.startsWith(`${kernel} `)).length]),
  );
}

/** Undefined while it does not answer. */
async function isNew(deps: Deps, token: string, kernel: string): Promise<boolean | undefined> {
  try {
    const answer = await throughAnyHost(deps, (place) =>
      runCellIn(place.url, token, kernel, `'${variable}' in globals()`, { ...place, timeoutMs: askMs }),
    );
    return answer === 'False';
  } catch {
    return undefined;
  }
}

/**
 * Closes the sessions of the drill's kernels, and resolves to whether these end. It asks until they have; what still runs
 * or does not answer after a minute is reported.
 */
export async function closeCounters(
  deps: Deps,
  token: string,
  plan: KernelPlan,
  signal: AbortSignal,
): Promise<Invariant> {
  const end = performance.now() + closedMs;
  for (;;) {
    const closed = await endCounters(deps, token, plan.counters);
    const [listed, processes] = await Promise.all([
      listedThroughHosts(deps, token),
      countProcesses(deps, plan.counters).catch(() => undefined),
    ]);
    const found = closedOf(plan, { listed, ...(processes && { processes }) });
    if (found.holds === true && closed) return found;
    if (performance.now() > end) {
      return closed ? found : { name: 'closed', holds: null, what: 'the sessions could not be closed' };
    }
    await delay(closedEveryMs, undefined, { signal });
  }
}
