/** The progress of a deployment, as plain data. Pure. */
import type { Change } from '../hosts/items.js';
import { stageNames, type StageName } from '../deployment/stages.js';
import type { DeployProgress, DeployResult, StageProgress } from '../temporal/contract.js';

export function newProgress(cluster: string, digest: string): DeployProgress {
  return {
    cluster,
    digest,
    stages: stageNames.map((name) => ({ name, state: 'waiting', changed: 0, changes: [], ms: 0 })),
  };
}

export function stageStarted(progress: DeployProgress, name: StageName): DeployProgress {
  return withStage(progress, name, { state: 'running' });
}

/** What a running stage is doing, or waits for. */
export function stageNoted(progress: DeployProgress, name: StageName, note: string): DeployProgress {
  return withStage(progress, name, { note });
}

export function stageDone(
  progress: DeployProgress,
  name: StageName,
  changes: readonly Change[],
  ms: number,
  proof?: string,
): DeployProgress {
  return withStage(progress, name, {
    state: 'done',
    changed: changes.length,
    changes,
    ms,
    ...(proof !== undefined && { proof }),
  });
}

/** The spec gives the stage nothing to do. */
export function stageSkipped(progress: DeployProgress, name: StageName, why: string): DeployProgress {
  return withStage(progress, name, { state: 'done', note: why });
}

export function stageFailed(
  progress: DeployProgress,
  name: StageName,
  failure: NonNullable<DeployProgress['failure']>,
  ms: number,
): DeployProgress {
  return { ...withStage(progress, name, { state: 'failed', note: failure.message, ms }), failure };
}

function withStage(
  progress: DeployProgress,
  name: StageName,
  change: Partial<StageProgress>,
): DeployProgress {
  return {
    ...progress,
    stages: progress.stages.map((stage) => (stage.name === name ? { ...stage, ...change } : stage)),
  };
}

export function resultOf(progress: DeployProgress): DeployResult {
  return {
    cluster: progress.cluster,
    changed: progress.stages.reduce((sum, stage) => sum + stage.changed, 0),
    stages: progress.stages.map(({ name, changed, ms }) => ({ name, changed, ms })),
  };
}

/** The memo: a server keeps memos small, so the changes are left out. */
export function memoOf(progress: DeployProgress): DeployProgress {
  return { ...progress, stages: progress.stages.map((stage) => ({ ...stage, changes: [] })) };
}

const marks = { waiting: '·', running: '▶', done: '✓', failed: '✗' } as const;

/** For the Web UI: a table of the stages, then the failure and its remedy. */
export function markdownOf(progress: DeployProgress): string {
  const rows = progress.stages.map(
    ({ name, state, changed, ms, note, proof }) =>
      `| ${marks[state]} | ${name} | ${state === 'waiting' ? '' : changed} | ${ms === 0 ? '' : seconds(ms)} | ${cell(proof ?? note ?? '')} |`,
  );
  const { failure } = progress;
  return [
    '| | stage | changes | time | |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    ...(failure === undefined
      ? []
      : [
          '',
          `**${failure.code}**${failure.host === undefined ? '' : ` on ${failure.host}`}: ${failure.message}`,
          '',
          failure.remedy,
        ]),
  ].join('\n');
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
