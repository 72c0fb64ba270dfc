import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cacheDir } from '../../src/hosts/artifacts.js';
import { keepArchive } from '../../src/node/image/archive.js';
import { imageFunction } from '../../src/node/image/reference.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'perijove-looks-'));
  vi.stubEnv('XDG_CACHE_HOME', directory);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(directory, { recursive: true, force: true });
});

describe('has_image', () => {
  const ask = (docker: string) => {
    writeFileSync(path.join(directory, 'docker'), `#!/bin/sh\n${docker}\n`, { mode: 0o755 });
    const env = { PATH: `${directory}:${process.env['PATH'] ?? ''}` };
    return spawnSync('sh', ['-c', `${imageFunction}\nhas_image a:b`], { env }).status;
  };

  it('finds an existing image, and recognizes that Docker reports one as missing', () => {
    expect(ask('echo sha256:0123')).toBe(0);
    expect(ask("echo 'Error: No such image: a:b' >&2; exit 1")).toBe(1);
    expect(ask("echo 'Error response from daemon: no such image: a:b' >&2; exit 1")).toBe(1);
  });

  it.each([
    ['fails', 'exit 1'],
    ['prints nothing', 'exit 0'],
    ['prints a part', 'printf sha'],
    ['cannot reach its server', "echo 'Cannot connect to the Docker daemon' >&2; exit 1"],
    ['responds late', 'exit 124'],
  ])('finds neither when docker %s', (_how, docker) => {
    expect(ask(docker)).toBe(2);
  });
});

describe('keepArchive', () => {
  it('removes other versions, but not what another worker is writing', async () => {
    const images = path.join(cacheDir(), 'images');
    mkdirSync(images, { recursive: true });
    for (const name of ['old.tar.gz', 'old.tar.gz.json', 'next.tar.gz.7.new', 'left.tar.gz.8.new']) {
      writeFileSync(path.join(images, name), '');
    }
    utimesSync(path.join(images, 'left.tar.gz.8.new'), 1, 1);
    await keepArchive('image:1', async (file) => {
      writeFileSync(file, 'archive');
      return { imageBytes: 1 };
    });
    expect(readdirSync(images).sort()).toEqual([
      'image_1.tar.gz',
      'image_1.tar.gz.json',
      'next.tar.gz.7.new',
    ]);
  });
});
