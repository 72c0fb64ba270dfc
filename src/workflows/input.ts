/** What a workflow does first: its input may come from anybody who can start workflows. */
import { patched, upsertSearchAttributes, workflowInfo, type ApplicationFailure } from '@temporalio/workflow';
import { checkSpec, pathText } from '../cluster/checks.js';
import { object, type DataFlaw, type KeysOf } from '../cluster/flaws.js';
import { clusterSpec } from '../cluster/spec-data.js';
import type { ClusterSpec } from '../cluster/spec.js';
import { errorCodes } from '../errors/codes.js';
import type { WorkflowName } from '../temporal/contract.js';
import type { FailureProblem } from '../temporal/failure.js';
import { clusterAttribute, clusterOf } from '../temporal/start-options.js';
import { failureFrom } from './failure.js';

/** A problem, and where in the input it is: `spec.hosts[0].address`. */
type InputProblem = FailureProblem & { readonly at: string };

/**
 * Fails the workflow when its input is not what it needs: another error would fail the workflow task, and be retried
 * forever. Runs that earlier releases began go on as they did.
 *
 * @throws ApplicationFailure WORKFLOW_INPUT_INVALID with all problems, each with its place
 */
export function requireInput<T>(workflow: WorkflowName, input: unknown, keys: KeysOf<T>): void {
  const refused = refusal(problems(object<T>(keys)(input, '')), `invalid input of ${workflow}`);
  if (refused !== undefined && patched('required-input')) throw refused;
}

/**
 * The same for the spec in an update, in its validator: what it rejects is in no history.
 *
 * @throws ApplicationFailure WORKFLOW_INPUT_INVALID
 */
export function requireSpec(workflow: WorkflowName, spec: unknown): void {
  const refused = refusal(problems(clusterSpec(spec, 'spec')), `invalid input of an update of ${workflow}`);
  if (refused !== undefined) throw refused;
}

function problems(flaws: readonly DataFlaw[]): InputProblem[] {
  const { remedy } = errorCodes.WORKFLOW_INPUT_INVALID;
  return flaws.map(({ at, expected, found }) => ({
    code: 'WORKFLOW_INPUT_INVALID',
    message: `${at || 'input'}: expected ${expected}, found ${found}`,
    remedy,
    at: at || 'input',
  }));
}

/** `requireInput` for a workflow that continues as new: what it hands to its next run has been valid. */
export function requireFirstInput<T>(workflow: WorkflowName, input: unknown, keys: KeysOf<T>): void {
  if (workflowInfo().continuedFromExecutionRunId === undefined) requireInput<T>(workflow, input, keys);
}

/**
 * What the values of the spec mean together: the checks of `cluster.yaml` that need no file.
 *
 * @throws ApplicationFailure SPEC_… with all problems, each with its place
 */
export function requireMeaning(spec: ClusterSpec): void {
  const found = checkSpec(spec).map(({ code, at, message, remedy }): InputProblem => ({
    code,
    message,
    remedy: remedy ?? errorCodes[code].remedy,
    at: pathText(['spec', ...at]),
  }));
  const refused = refusal(found, 'the spec cannot be deployed');
  if (refused !== undefined && patched('required-input')) throw refused;
}

/** One failure for all problems; undefined if there are none. */
function refusal(found: readonly InputProblem[], what: string): ApplicationFailure | undefined {
  const [first] = found;
  if (first === undefined) return undefined;
  const { code, message, remedy, at } = first;
  const all = found.map(({ at: _at, ...problem }): FailureProblem => problem);
  const count = all.length === 1 ? '' : `${all.length} problems, the first: `;
  return failureFrom(
    { code, message: `${what}: ${count}${message}` },
    { place: { subject: at }, remedy, ...(all.length > 1 && { problems: all }) },
  );
}

/** Marks the workflow as one of the cluster where its starter did not. */
export function ensureClusterAttribute(cluster: string): void {
  const isMarked = clusterOf(workflowInfo().typedSearchAttributes) === cluster;
  if (!isMarked && patched('own-cluster-attribute')) upsertSearchAttributes(clusterAttribute(cluster));
}
