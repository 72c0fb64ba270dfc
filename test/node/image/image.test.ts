import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { missingSpace, planImage } from '../../../src/node/image/plan.js';
import { contentDigest, nodeImage } from '../../../src/node/image/image.js';
import { makeSpec } from '../../support/spec.js';

const imageOf = (containerizer: 'docker' | 'mesos', image: string) =>
  nodeImage(makeSpec({ nodes: { containerizer, image } }));

describe('the image of nodes', () => {
  it('is ours with the content that it is built from, unless the spec names another one', () => {
    expect(imageOf('docker', 'perijove-node')).toEqual({
      reference: expect.stringMatching(/^perijove-node:[0-9a-f]{12}$/) as string,
      own: true,
    });
    const reference = 'registry.example.org/perijove-node:1';
    expect(imageOf('docker', reference)).toEqual({ reference, own: false });
    expect(imageOf('mesos', 'perijove-node')).toBeUndefined();
  });

  it('is another one with another name or content of any file', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'perijove-context-'));
    try {
      const seen = new Set<string>();
      for (const [name, text] of [
        ['a', '1'],
        ['b', ''],
        ['a', '2'],
        ['b', '1'],
      ] as const) {
        await writeFile(path.join(directory, name), text);
        seen.add(contentDigest(directory));
      }
      expect(seen.size).toBe(4);
      expect(contentDigest(directory)).toBe(contentDigest(directory));
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

describe('the plan', () => {
  const hosts = (...having: readonly boolean[]) =>
    having.map((has, index) => ({ host: `h${index + 1}`, has }));
  const plan = (own: boolean, ...having: readonly boolean[]) =>
    planImage({ reference: 'x', own, hosts: hosts(...having) });

  it('does nothing if every host has it', () => {
    expect(plan(true, true, true)).toEqual({ kind: 'nothing' });
    expect(plan(false, true, true)).toEqual({ kind: 'nothing' });
  });

  it('builds ours once, and copies it from a host that has it', () => {
    expect(plan(true, false, false)).toEqual({ kind: 'build', to: ['h1', 'h2'] });
    expect(plan(true, false, true, false)).toEqual({ kind: 'copy', from: 'h2', to: ['h1', 'h3'] });
  });

  it('makes each host that lacks any other one pull it', () => {
    expect(plan(false, true, false)).toEqual({ kind: 'pull', to: ['h2'] });
  });
});

describe('the space for it', () => {
  const sizes = { archiveBytes: 100, imageBytes: 300 };
  const space = (device: string, freeBytes: number) => ({ device, freeBytes });

  it('is that of the archive and the image together on one file system', () => {
    const one = (freeBytes: number) => ({ directory: space('a', freeBytes), docker: space('a', freeBytes) });
    expect(missingSpace(sizes, one(700))).toBeUndefined();
    expect(missingSpace(sizes, one(699))).toEqual({ where: 'docker', neededBytes: 700, freeBytes: 699 });
  });

  it('is that of each on its own file system', () => {
    const two = (directory: number, docker: number) => ({
      directory: space('a', directory),
      docker: space('b', docker),
    });
    expect(missingSpace(sizes, two(100, 600))).toBeUndefined();
    expect(missingSpace(sizes, two(99, 600))).toMatchObject({ where: 'directory', neededBytes: 100 });
    expect(missingSpace(sizes, two(100, 599))).toMatchObject({ where: 'docker', neededBytes: 600 });
  });
});
