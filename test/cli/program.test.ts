import { describe, expect, it } from 'vitest';
import { programName, typeable } from '../../src/cli/program.js';

describe('programName', () => {
  const cwd = '/srv/perijove';

  it.each([
    ['by its own name', '/usr/local/bin/perijove', {}, 'perijove'],
    ['by npm start', '/srv/perijove/bin/perijove.js', { npm_command: 'start' }, 'npx perijove'],
    ['by npx', '/home/a/node_modules/.bin/perijove', { npm_command: 'exec' }, 'npx perijove'],
    ['by node', '/srv/perijove/bin/perijove.js', {}, 'node bin/perijove.js'],
  ])('started %s', (_how, script, env, name) => {
    expect(programName(script, { env, cwd })).toBe(name);
  });
});

it('commands in a text are printed as the user can type them', () => {
  const text = 'Run `perijove up`, or see `perijove --help`; perijove needs no `perijoves`.';
  expect(typeable(text, 'npx perijove')).toBe(
    'Run `npx perijove up`, or see `npx perijove --help`; perijove needs no `perijoves`.',
  );
});
