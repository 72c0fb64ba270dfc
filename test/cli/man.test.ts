import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { manPage } from '../../src/cli/man.js';
import { verbs } from '../../src/cli/verbs.js';

const definitions = await Promise.all(verbs.map(({ load }) => load()));
const page = manPage(definitions, { version: '1.2.3', description: 'Deploys "it" with `perijove up`.' });

const has = (program: string) => spawnSync(program, ['--version']).status === 0;

it('has every command with every option', () => {
  const commands = definitions.flatMap((each) => (each.kind === 'group' ? each.commands : [each]));
  const flags = commands.flatMap(({ options }) => Object.values(options).map((option) => option.flags));
  for (const flag of flags) expect(page).toContain(`.B "${flag.replaceAll('-', '\\-')}"`);
  for (const { name } of definitions) {
    const shown = name.replaceAll('-', '\\-');
    expect(page).toContain(`\n.SS "${shown}`);
  }
});

it('escapes markup in texts', () => {
  const text = manPage([], { version: '1', description: ".SH not a heading, 'nor \\this" });
  expect(text).toContain("\\&.SH not a heading, 'nor \\ethis");
});

it.runIf(has('groff'))('is accepted by groff without a warning', () => {
  const { stdout, stderr } = spawnSync('groff', ['-man', '-Tascii', '-ww', '-P-c', '-rLL=80n'], {
    input: page,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  // Overstruck letters are bold or underlined.
  const lines = stdout.replaceAll(/.\u0008/g, '').split('\n');
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
  expect(lines).toContain('       Deploys "it" with perijove up.');
});
