/** Past operations on a cluster, from the runs and updates that Temporal keeps. Pure. */
import { z } from 'zod';
import { formatDuration } from '../cluster/units.js';
import { specChanges } from '../cluster/spec-changes.js';
import type { WorkflowName } from '../temporal/contract.js';
import { count } from './progress-view.js';
import { redacted, redactedText } from './redact.js';

/** `unknown`: the server keeps no answer to it. */
export type Outcome = 'running' | 'done' | 'failed' | 'canceled' | 'terminated' | 'timed_out' | 'unknown';

export interface Failure {
  /** Null if it has none, as for a run that was terminated. */
  readonly code: string | null;
  readonly message: string;
}

/** Where an operation is in Temporal, when it ran, and how it ended. */
interface Operation {
  readonly workflowId: string;
  readonly runId: string;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Null while it runs. */
  readonly endedAt: string | null;
  /** Identity of the client; null if unknown. */
  readonly who: string | null;
  readonly outcome: Outcome;
  readonly failure: Failure | null;
}

/** A workflow that is one operation. Payloads are undefined where they cannot be decrypted or do not exist. */
export interface RunRecord extends Operation {
  readonly workflow: WorkflowName;
  readonly input: unknown;
  /** Of the memo. */
  readonly state: unknown;
  readonly rotates: unknown;
  readonly result: unknown;
}

/** An update of the keeper or the framework. */
export interface UpdateRecord extends Operation {
  readonly name: string;
  readonly updateId: string;
  readonly args: readonly unknown[];
  readonly result: unknown;
}

export type OperationKind =
  | 'deployment'
  | 'rotation'
  | 'teardown'
  | 'recovery'
  | 'drill'
  | (typeof updateKinds)[keyof typeof updateKinds];

/** One element of `history --json`. */
export interface HistoryEntry {
  /** ISO 8601. */
  readonly at: string;
  readonly kind: OperationKind;
  readonly who: string | null;
  /** A phrase without its full stop. */
  readonly what: string;
  /** Differences of the spec from that of the deployment before, then changes that were made. */
  readonly changes: readonly string[];
  readonly outcome: Outcome;
  readonly error: Failure | null;
  /** Null while it runs. */
  readonly tookMs: number | null;
  readonly workflowId: string;
  readonly runId: string;
  /** Of what is an update. */
  readonly updateId: string | null;
}

/** Updates that are operations, by their names. */
const updateKinds = {
  move: 'move',
  pause: 'pause',
  resume: 'resume',
  cordon: 'drain',
  uncordon: 'uncordon',
  fence: 'fence',
  forget: 'forget',
} as const;

export function isOperation(update: string): update is keyof typeof updateKinds {
  return Object.hasOwn(updateKinds, update);
}

// What is read of payloads, which another release may have written.
const specIn = z.object({ spec: z.record(z.string(), z.unknown()) });
const deployed = z.object({ stages: z.array(z.object({ name: z.string(), changed: z.number() })) });
const tornDown = z.object({ changes: z.array(z.object({ host: z.string(), what: z.string() })) });
const purging = z.object({ purge: z.boolean().optional() });
const recovering = z.object({
  plan: z.object({ epoch: z.number(), seed: z.string() }),
  lost: z.array(z.string()),
});
const drilled = z.object({
  drill: z.string(),
  target: z.string().optional(),
  recoveredMs: z.number().optional(),
  verdict: z.object({ passed: z.boolean(), reasons: z.array(z.string()) }).optional(),
});
const moved = z.object({ moved: z.boolean(), from: z.string().optional(), to: z.string() });
const fenced = z.object({ nodes: z.array(z.string()) });
const names = z.array(z.string());

function read<T>(schema: z.ZodType<T>, data: unknown): T | undefined {
  return schema.safeParse(data).data;
}

/** The spec of a deployment, without what may be a secret; undefined if it cannot be read. */
function specOf(run: RunRecord | undefined): unknown {
  const found = read(specIn, run?.input)?.spec;
  return found && redacted(found);
}

/**
 * The entries of runs, the latest first. Each deployment is compared with the one before it among the given ones.
 *
 * @param runs in any order
 */
export function entriesOfRuns(runs: readonly RunRecord[]): HistoryEntry[] {
  const ordered = runs.toSorted((a, b) => Date.parse(b.startedAt) - Date.parse(a.startedAt));
  return ordered.map((run, index) => {
    const before = ordered.slice(index + 1).find(({ workflow }) => workflow === 'deploy');
    return { ...common(run), updateId: null, ...partsOfRun(run, before) };
  });
}

function partsOfRun(
  run: RunRecord,
  before: RunRecord | undefined,
): Pick<HistoryEntry, 'kind' | 'what' | 'changes'> & Partial<Pick<HistoryEntry, 'outcome' | 'error'>> {
  switch (run.workflow) {
    case 'teardown':
      return teardownParts(run);
    case 'recovery':
      return recoveryParts(run);
    case 'drill':
      return drillParts(run);
    default:
      return deploymentParts(run, before);
  }
}

function deploymentParts(run: RunRecord, before: RunRecord | undefined) {
  const rotates = read(names, run.rotates);
  const stages = read(deployed, run.result)?.stages ?? read(deployed, run.state)?.stages;
  const [now, old] = [specOf(run), specOf(before)];
  const made = (stages ?? []).filter(({ changed }) => changed > 0);
  const total = made.reduce((sum, { changed }) => sum + changed, 0);
  const changed =
    stages === undefined ? 'changes unknown' : total === 0 ? 'no changes' : count(total, 'change');
  return {
    kind: rotates === undefined ? ('deployment' as const) : ('rotation' as const),
    what: rotates === undefined ? changed : `${rotates.join(', ')}: ${changed}`,
    changes: [
      ...(now === undefined || old === undefined
        ? []
        : specChanges(old, now).map((line) => `spec: ${redactedText(line)}`)),
      ...made.map((stage) => `${stage.name}: ${count(stage.changed, 'change')}`),
    ],
  };
}

function teardownParts(run: RunRecord) {
  const input = read(purging, run.input);
  const changes = read(tornDown, run.result)?.changes ?? [];
  const data = input === undefined ? '' : input.purge === true ? ', with its data' : ', without its data';
  return {
    kind: 'teardown' as const,
    what: `the whole cluster${data}`,
    changes: changes.map(({ host, what }) => `${host}: ${what}`),
  };
}

function recoveryParts(run: RunRecord) {
  const input = read(recovering, run.input);
  const lost = input && input.lost.length > 0 ? `, without ${input.lost.join(', ')}` : '';
  return {
    kind: 'recovery' as const,
    what: input ? `etcd from ${input.plan.seed}, epoch ${input.plan.epoch}${lost}` : 'etcd',
    changes: [],
  };
}

function drillParts(run: RunRecord) {
  const state = read(drilled, run.state);
  if (state === undefined) return { kind: 'drill' as const, what: 'drill unknown', changes: [] };
  const { drill, target, recoveredMs, verdict } = state;
  const on = target === undefined ? '' : ` on ${target}`;
  const recovered = recoveredMs === undefined ? '' : `, recovered in ${formatDuration(recoveredMs)}`;
  const failed = verdict?.passed === false;
  return {
    kind: 'drill' as const,
    what: `${drill}${on}${recovered}`,
    changes: [],
    // Its workflow completes with the evidence of a failure.
    ...(failed && {
      outcome: 'failed' as const,
      error: { code: null, message: verdict.reasons.join('; ') },
    }),
  };
}

/** The entry of an update that is an operation. */
export function entryOfUpdate(update: UpdateRecord): HistoryEntry | undefined {
  const { name, updateId } = update;
  if (!isOperation(name)) return undefined;
  return {
    ...common(update),
    updateId,
    kind: updateKinds[name],
    what: whatOfUpdate(name, update),
    changes: [],
  };
}

function whatOfUpdate(name: keyof typeof updateKinds, { args: [first], result }: UpdateRecord): string {
  const target = typeof first === 'string' ? first : 'unknown';
  switch (name) {
    case 'move': {
      const done = read(moved, result);
      if (done?.moved === false) return `Jupyter was on ${target} already`;
      return `Jupyter${done?.from === undefined ? '' : ` from ${done.from}`} to ${target}`;
    }
    case 'pause': {
      const reason = (first as { readonly reason?: unknown } | undefined)?.reason;
      return `the keeper${typeof reason === 'string' ? ` (${reason})` : ''}`;
    }
    case 'resume':
      return 'the keeper';
    case 'fence':
    case 'forget': {
      const nodes = read(fenced, result)?.nodes ?? [];
      return `${target}${nodes.length === 0 ? '' : `, which had ${nodes.join(', ')}`}`;
    }
    default:
      return target;
  }
}

function common(record: Operation) {
  const { startedAt, endedAt, who, outcome, failure, workflowId, runId } = record;
  return {
    ...{ at: startedAt, who, outcome, error: failure, workflowId, runId },
    tookMs: endedAt === null ? null : Date.parse(endedAt) - Date.parse(startedAt),
  };
}
