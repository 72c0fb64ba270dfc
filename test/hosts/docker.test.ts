import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { dockerDaemon } from '../../src/hosts/docker.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'perijove-docker-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** What a Docker with these responses reports about its use. */
function usedBy(ps: string, info: string): 'nobody' | 'somebody' | 'not known' {
  const text = `#!/bin/sh\ncase $1 in ps) ${ps} ;; info) ${info} ;; esac\n`;
  writeFileSync(path.join(directory, 'docker'), text, { mode: 0o755 });
  const { status, stdout } = spawnSync(
    'sh',
    ['-c', `used=$({ ${dockerDaemon.usedBy}; }) || exit; echo "$used"`],
    {
      env: { PATH: `${directory}:${process.env['PATH'] ?? ''}` },
      encoding: 'utf8',
    },
  );
  if (status !== 0) return 'not known';
  return stdout.trim() === '' ? 'nobody' : 'somebody';
}

const heading = "echo 'CONTAINER ID'";

describe('the use of Docker', () => {
  it('is known if the list and the count agree', () => {
    expect(usedBy(heading, 'echo 0')).toBe('nobody');
    expect(usedBy(`${heading}; echo 33b0`, 'echo 1')).toBe('somebody');
  });

  it.each([
    ['the list fails', 'exit 1', 'echo 0'],
    ['the list is empty', ':', 'echo 0'],
    ['the list is truncated', "printf 'CONTA'", 'echo 0'],
    ['the list is truncated after its heading', heading, 'echo 2'],
    ['the count fails, as it does without a server', heading, 'echo 0; exit 1'],
    ['the count is missing', heading, ':'],
    ['the two differ', `${heading}; echo 33b0`, 'echo 0'],
  ])('is not known when %s', (_how, ps, info) => {
    expect(usedBy(ps, info)).toBe('not known');
  });
});
