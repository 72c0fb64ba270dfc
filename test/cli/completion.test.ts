/** The scripts in real shells, where available. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { completionScript, completions } from '../../src/cli/completion.js';
import { verbs } from '../../src/cli/verbs.js';

const found = completions(await Promise.all(verbs.map(({ load }) => load())));
const has = (program: string) => spawnSync(program, ['-c', 'exit 0']).status === 0;

it('knows each command and its options', () => {
  expect(found.get('')?.map(({ word }) => word)).toEqual([...verbs.map(({ name }) => name), 'help']);
  expect(found.get('lab')?.map(({ word }) => word)).toContain('crash');
  expect(found.get('drill run')?.map(({ word }) => word)).toEqual(
    expect.arrayContaining(['node-kill', 'random', '--target', '--json']),
  );
});

describe.runIf(has('bash'))('bash', () => {
  const complete = (...words: string[]) => {
    const line = ['perijove', ...words].map((word) => `'${word}'`).join(' ');
    const { stdout, stderr } = spawnSync(
      'bash',
      [
        '-c',
        `${completionScript('bash', found)}
COMP_WORDS=(${line}); COMP_CWORD=${words.length}; _perijove; printf '%s\n' "\${COMPREPLY[@]}"`,
      ],
      { encoding: 'utf8' },
    );
    expect(stderr).toBe('');
    return stdout.split('\n').filter((word) => word !== '');
  };

  it.each<[string[], string[]]>([
    [['stat'], ['status']],
    [
      ['drill', 'r'],
      ['run', 'report'],
    ],
    [
      ['drill', 'run', 'node'],
      ['node-kill', 'node-kill-follower'],
    ],
    [['drill', 'run', '--target', 'h1', '--bud'], ['--budget']],
    [['open', 'j'], ['jupyter']],
    [['status', '--wa'], ['--watch']],
    [['nothing', 'stat'], ['status']],
  ])('completes %j', (words, expected) => {
    expect(complete(...words).toSorted()).toEqual(expected.toSorted());
  });
});

describe.runIf(has('fish'))('fish', () => {
  const complete = (line: string) => {
    const script = `${completionScript('fish', found)}\ncomplete -C ${JSON.stringify(`perijove ${line}`)}`;
    const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', script], { encoding: 'utf8' });
    expect(stderr).toBe('');
    return stdout
      .split('\n')
      .map((each) => each.split('\t')[0])
      .filter((word) => word !== '');
  };

  it.each([
    ['stat', ['status']],
    ['drill r', ['report', 'run']],
    ['drill run node-k', ['node-kill', 'node-kill-follower']],
  ])('completes %s', (line, expected) => {
    expect(complete(line).toSorted()).toEqual(expected);
  });
});

it.runIf(has('zsh'))('zsh can parse its script', () => {
  const script = `autoload -Uz compinit && compinit -D\n${completionScript('zsh', found)}\nwhich _perijove`;
  const { stdout, stderr } = spawnSync('zsh', ['-f', '-c', script], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(stdout).toContain("'drill run'");
});
