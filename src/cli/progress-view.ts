/** Shows a deployment in progress: redrawn on a terminal, one line per event elsewhere. */
import type { Colors } from 'picocolors/types.js';
import { formatDuration } from '../cluster/units.js';
import type { DeployProgress, StageProgress } from '../temporal/contract.js';
import type { CommandContext } from './command.js';
import { typeable } from './program.js';
import { cut, table } from './table.js';

export interface ProgressView {
  /** `notices`: what the deployment waits for, or why the progress is outdated. */
  show(progress: DeployProgress | undefined, notices: readonly string[]): void;
  /** Leaves the last state on the screen and allows other output. */
  end(): void;
}

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const frameMs = 100;

export function progressView(context: CommandContext): ProgressView {
  if (context.json) return { show: () => undefined, end: () => undefined };
  return context.isTTY ? liveView(context) : plainView(context);
}

function liveView({ stdout, columns, colors, program }: CommandContext): ProgressView {
  let drawn = 0;
  let frame = 0;
  let last: readonly string[] = [];
  let current: { readonly progress: DeployProgress | undefined; readonly notices: readonly string[] } = {
    progress: undefined,
    notices: [],
  };
  const draw = () => {
    const spinner = frames[frame % frames.length] ?? '';
    const { progress, notices } = current;
    last = [
      ...(progress ? stageLines(progress.stages, colors, spinner) : []),
      ...noticeLines(notices, program).map((line) => `${colors.yellow('!')} ${line}`),
    ];
    const up = drawn > 0 ? `\u001b[${drawn}A\r` : '';
    stdout.write(`${up}\u001b[J${last.map((line) => `${cut(line, columns - 1)}\n`).join('')}`);
    drawn = last.length;
  };
  const timer = setInterval(() => {
    frame += 1;
    draw();
  }, frameMs);
  return {
    show: (progress, notices) => {
      current = { progress: progress ?? current.progress, notices };
      draw();
    },
    end: () => {
      clearInterval(timer);
      current = { progress: current.progress, notices: [] };
      draw();
    },
  };
}

/** A screen has room for only a few. */
const mostNotices = 5;
/** Maximum width of a notice without a terminal. */
const noticeColumns = 200;

function noticeLines(notices: readonly string[], program: string): string[] {
  const lines = notices
    .slice(0, mostNotices)
    .map((notice) => typeable(notice.replaceAll('\n', ' '), program));
  const left = notices.length - lines.length;
  return left > 0 ? [...lines, `and ${left} more`] : lines;
}

/** All stages, each with what it waits for, did, or failed with. */
export function stageLines(stages: readonly StageProgress[], colors: Colors, spinner: string): string[] {
  const rows = stages.map((stage) => {
    const facts = stageFacts(stage);
    switch (stage.state) {
      case 'waiting':
        return [colors.dim('·'), colors.dim(stage.name)];
      case 'running':
        return [colors.cyan(spinner), colors.bold(stage.name), '', stage.note ?? ''];
      case 'done':
        return [colors.green('✔'), stage.name, colors.dim(facts.time), facts.text];
      case 'failed':
        return [colors.red('✖'), colors.red(stage.name), colors.dim(facts.time), facts.text];
    }
  });
  return table(rows);
}

function stageFacts({ state, changed, changes, ms, note, proof }: StageProgress): {
  readonly time: string;
  readonly text: string;
} {
  const time = ms > 0 ? formatDuration(ms) : '';
  const hosts = [...new Set(changes.map(({ host }) => host))];
  const where = hosts.length > 0 ? ` on ${hosts.join(', ')}` : '';
  const done = `${count(changed, 'change')}${where}`;
  switch (state) {
    case 'failed':
      return { time, text: note ?? 'failed' };
    case 'running':
      return { time, text: note ?? 'running' };
    default:
      // What it waited for no longer matters once it has changed something.
      return { time, text: changed > 0 ? done : (proof ?? ((ms === 0 && note) || 'nothing to change')) };
  }
}

export function count(number: number, noun: string, plural = `${noun}s`): string {
  return `${number} ${number === 1 ? noun : plural}`;
}

function plainView({ stdout, program }: CommandContext): ProgressView {
  const reported = new Map<string, string>();
  let noticed: readonly string[] = [];
  const report = (line: string) => stdout.write(`${line}\n`);
  return {
    show: (progress, notices) => {
      for (const stage of progress?.stages ?? []) {
        for (const change of stage.changes) {
          const key = `${stage.name} ${change.host} ${change.what}`;
          if (stage.state === 'waiting' || reported.has(key)) continue;
          reported.set(key, '');
          report(`${stage.name}: ${change.host}: ${change.what}`);
        }
        const { time, text } = stageFacts(stage);
        const line =
          stage.state === 'running'
            ? `${stage.name}: ${text}`
            : `${stage.name}: ${stage.state}, ${text}${time === '' ? '' : ` (${time})`}`;
        if (stage.state === 'waiting' || reported.get(stage.name) === line) continue;
        reported.set(stage.name, line);
        report(line);
      }
      const lines = noticeLines(notices, program).map((line) => cut(line, noticeColumns));
      for (const line of lines) if (!noticed.includes(line)) report(line);
      noticed = lines;
    },
    end: () => undefined,
  };
}
