import picocolors from 'picocolors';
import { describe, expect, it } from 'vitest';
import type { CommandContext } from '../../src/cli/command.js';
import { progressView, stageLines } from '../../src/cli/progress-view.js';
import type { DeployProgress, StageProgress } from '../../src/temporal/contract.js';

const colors = picocolors.createColors(false);
const stage = (overrides: Partial<StageProgress>): StageProgress => ({
  name: 'verify',
  state: 'done',
  changed: 0,
  changes: [],
  ms: 1_200,
  ...overrides,
});
const progress = (overrides: Partial<StageProgress>): DeployProgress => ({
  cluster: 'test',
  digest: 'd',
  stages: [stage(overrides)],
});

describe('stageLines', () => {
  it.each<[string, Partial<StageProgress>]>([
    ['nothing to change', {}],
    ['6*7 = 42 through h1', { proof: '6*7 = 42 through h1' }],
    ['2 changes on h1', { changed: 2, changes: [{ host: 'h1', what: 'a' }], proof: 'all is well' }],
    ['there is no image', { ms: 0, note: 'there is no image' }],
    ['h1 (1 of 3)', { state: 'running', note: 'h1 (1 of 3)' }],
    ['cannot write', { state: 'failed', note: 'cannot write' }],
  ])('prints %s', (text, overrides) => {
    expect(stageLines([stage(overrides)], colors, '*').join('\n')).toContain(text);
  });
});

describe('without a terminal', () => {
  const plain = () => {
    const lines: string[] = [];
    const stdout = { write: (text: string) => lines.push(text) };
    const context = { json: false, isTTY: false, stdout, columns: 80, colors } as unknown as CommandContext;
    return { view: progressView(context), lines };
  };

  it('reports a notice when it begins, and again when it returns', () => {
    const { view, lines } = plain();
    const running = progress({ state: 'running', ms: 0 });
    for (const notices of [['a'], ['a'], ['a', 'b'], [], ['a']]) view.show(running, notices);
    expect(lines).toEqual(['verify: running\n', 'a\n', 'b\n', 'a\n']);
  });

  it('keeps any notice short', () => {
    const { view, lines } = plain();
    view.show(undefined, [
      'one\ntwo',
      'x'.repeat(1_000),
      ...Array.from({ length: 100 }, (_, index) => `h${index}`),
    ]);
    expect(lines).toHaveLength(6);
    expect(lines[0]).toBe('one two\n');
    expect(lines[1]?.length).toBeLessThanOrEqual(201);
    expect(lines[5]).toBe('and 97 more\n');
  });
});
