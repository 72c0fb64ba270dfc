import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Log } from '../../../src/stand-in/log.js';
import { CorruptReplica, Replica, replicated } from '../../../src/stand-in/master/replica.js';
import { memoryRegistry, type RegistryContent } from '../../../src/stand-in/master/registry.js';
import { saysBroken } from '../../../src/mesos/masters/broken-log.js';

let dir: string;
beforeEach(() => (dir = mkdtempSync(path.join(tmpdir(), 'perijove-replica-'))));
afterEach(() => rmSync(dir, { recursive: true }));

const content: RegistryContent = {
  agents: [{ id: 'S0', hostname: 'a\nb', ip: '127.0.0.1', port: 5051 }],
  unreachable: [],
  windows: [],
};
const file = () => {
  const [name = ''] = readdirSync(path.join(dir, 'replicated_log'));
  return path.join(dir, 'replicated_log', name);
};

it('starts empty and reads back what it wrote', async () => {
  expect(new Replica(dir).position).toBe(0);
  const registry = replicated(memoryRegistry(), new Replica(dir), new Log());
  await registry.recover();
  await registry.store(content);
  expect(new Replica(dir).position).toBe(2);
});

it.each<[string, (name: string) => void]>([
  ['truncated', (name) => truncateSync(name, readFileSync(name).length - 3)],
  ['empty', (name) => truncateSync(name, 0)],
  ['changed', (name) => writeFileSync(name, readFileSync(name, 'utf8').replace('S0', 'S1'))],
  ['something else', (name) => writeFileSync(name, 'garbage')],
])('reports corruption, with Mesos’ message, when it is %s', (_, damage) => {
  new Replica(dir).write(content);
  damage(file());
  const open = () => new Replica(dir);
  expect(open).toThrow(CorruptReplica);
  expect(open).toThrow(/^Corruption: checksum mismatch: .*replicated_log/);
  expect(saysBroken('Failed to recover the log: Corruption: checksum mismatch')).toBe(true);
});
