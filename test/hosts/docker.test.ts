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

/** What is learned of who uses a Docker that answers so. */
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

describe('whoever uses Docker', () => {
  it('is known when its list and its number agree', () => {
    expect(usedBy(heading, 'echo 0')).toBe('nobody');
    expect(usedBy(`${heading}; echo 33b0`, 'echo 1')).toBe('somebody');
  });

  it.each([
    ['the list fails', 'exit 1', 'echo 0'],
    ['the list is empty', ':', 'echo 0'],
    ['the list is cut short', "printf 'CONTA'", 'echo 0'],
    ['the list is cut short after its heading', heading, 'echo 2'],
    ['the number fails, as it does where no server answers', heading, 'echo 0; exit 1'],
    ['the number is missing', heading, ':'],
    ['the two differ', `${heading}; echo 33b0`, 'echo 0'],
  ])('is not known when %s', (_how, ps, info) => {
    expect(usedBy(ps, info)).toBe('not known');
  });
});
