/** Makes the build of this release the current one of the workers, and moves lasting workflows to it. */
import { hostname } from 'node:os';
import type { Client } from '@temporalio/client';
import { pause } from '../net/pause.js';
import { untilAnswered } from '../temporal/answers.js';
import { lastingOf, renew, type Renewal } from '../temporal/renewal.js';
import {
  makeCurrent,
  observeVersions,
  serverVersions,
  workersOf,
  type Build,
  type ServerVersions,
  type Versions,
} from '../temporal/versions.js';
import { buildId } from '../worker/release.js';

const server = 'the Temporal server';
const askMs = 5_000;
const patienceMs = 20_000;
/** A worker that has just started is listed a moment later. */
const againMs = 2_000;
const tries = 5;

export type Asked = <T>(question: () => Promise<T>) => Promise<T>;

export function asking(client: Client, signal: AbortSignal): Asked {
  return (question) =>
    untilAnswered(client, question, { receiver: server, signal, firstMs: askMs, patienceMs });
}

/** This release's build; undefined when it has not been built, as in tests. */
export const ownBuild = (): string | undefined => buildId();

export async function versionsOf(
  client: Client,
  ask: Asked,
): Promise<ServerVersions & { versions?: Versions }> {
  const found = await ask(() => serverVersions(client));
  return found.supported ? { ...found, versions: await ask(() => observeVersions(client)) } : found;
}

/**
 * Makes a build current, whatever others change meanwhile. A change that is repeated is none.
 *
 * @returns whether it was another one before; undefined when no worker of it asks for work
 */
export async function promote(client: Client, build: Build, ask: Asked): Promise<boolean | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    const versions = await ask(() => observeVersions(client));
    if (versions.current === build) return false;
    if (workersOf(versions, build).length === 0) return undefined;
    try {
      await makeCurrent(client, build, `perijove@${hostname()}`, versions);
      return true;
    } catch (error) {
      if (attempt === tries) throw error;
    }
  }
}

export interface Moved {
  readonly workflow: string;
  readonly outcome: Renewal;
}

/** Moves the framework and the keeper of each cluster to the current build, all at once. */
export async function moveLasting(
  client: Client,
  clusters: readonly string[],
  { build, signal, ask }: { readonly build: Build; readonly signal: AbortSignal; readonly ask: Asked },
): Promise<Moved[]> {
  const versions = await ask(() => observeVersions(client));
  return await Promise.all(
    clusters.flatMap(lastingOf).map(async (lasting) => ({
      workflow: lasting.workflowId,
      outcome: await renew(client, lasting, { build, versions, signal }),
    })),
  );
}

/**
 * What `up` and `down` do first: the workers of their own release carry them out, if there are any. Resolves as soon as
 * that is known; until the signal aborts, it still happens for a worker that is starting. Never rejects: without it
 * the workers of another release carry them out.
 */
export async function prepareRelease(
  client: Client,
  {
    signal,
    moves,
    onWait,
  }: {
    readonly signal: AbortSignal;
    readonly moves: string | undefined;
    readonly onWait: (text: string) => void;
  },
): Promise<void> {
  const build = ownBuild();
  if (build === undefined) return;
  const ask = asking(client, signal);
  try {
    if (!(await ask(() => serverVersions(client))).supported) return;
    const promoted = await promote(client, build, ask);
    if (promoted === undefined) return void promoteLate(client, build, signal, ask);
    if (moves === undefined) return;
    for (const { workflow, outcome } of await moveLasting(client, [moves], { build, signal, ask })) {
      if (outcome === 'moved') onWait(`${workflow} continues with this release`);
    }
  } catch (error) {
    if (!signal.aborted)
      onWait(`the workers of this release could not be made the current ones: ${textOf(error)}`);
  }
}

async function promoteLate(client: Client, build: string, signal: AbortSignal, ask: Asked): Promise<void> {
  while (!signal.aborted) {
    await pause(againMs, signal);
    if (signal.aborted) return;
    const promoted = await promote(client, build, ask).catch(() => undefined);
    if (promoted !== undefined) return;
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
