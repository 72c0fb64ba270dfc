import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { loadSpec } from '../../src/cluster/load.js';
import { FollowedSpec } from '../../src/ui/followed-spec.js';

it('is what the file says now, and what it said last while it cannot be read', async () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'perijove-spec-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = path.join(directory, 'cluster.yaml');
  const text = readFileSync('examples/lab.yaml', 'utf8');
  let written = 0;
  const write = (content: string) => {
    writeFileSync(file, content);
    // Two writes within a tick of the file system's clock have one time.
    utimesSync(file, 1_000, (written += 1));
  };
  write(text);
  const followed = new FollowedSpec(file, await loadSpec(file));
  const count = async () => (await followed.current()).nodes.count;
  expect(await count()).toBe(5);
  write(text.replace('count: 5', 'count: 3'));
  expect(await count()).toBe(3);
  write('name: [');
  expect(await count()).toBe(3);
  rmSync(file);
  expect(await count()).toBe(3);
  write(text);
  expect(await count()).toBe(5);
});
