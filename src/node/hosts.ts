/** The hosts file of a node: which lines are ours, and what they contain. */
import { createHash } from 'node:crypto';
import { isIPv4 } from 'node:net';
import type { HostsEntry } from './api.js';

const mark = '# perijove';

/**
 * The file's new text: lines that are not ours stay unchanged and in place; our lines follow, one per entry,
 * each with a marker at its end. Rendering is idempotent.
 */
export function renderHosts(existing: string, entries: readonly HostsEntry[]): string {
  const kept = existing.split('\n').filter((line) => !isOurs(line));
  while (kept.length > 0 && kept.at(-1) === '') kept.pop();
  return [...kept, ...entries.map(({ name, address }) => `${address}\t${name}\t${mark}`), ''].join('\n');
}

/** The entries in our lines of the file. */
export function readHosts(text: string): HostsEntry[] {
  return text
    .split('\n')
    .filter(isOurs)
    .flatMap((line) => {
      const [address, name] = line.split(/\s+/);
      return address !== undefined && name !== undefined && isIPv4(address) ? [{ name, address }] : [];
    });
}

/** SHA-256 (hex) of the entries in any order: equal when a node's file matches its last order. */
export function hostsDigest(entries: readonly HostsEntry[]): string {
  const lines = entries.map(({ name, address }) => `${name} ${address}\n`).sort();
  return createHash('sha256').update(lines.join('')).digest('hex');
}

/**
 * The desired hosts entries: `node-0` is the leader and `node-1`, … the other live nodes in the given order;
 * the stable names `node0`, … of all nodes follow.
 */
export function hostsEntries(
  nodes: readonly { readonly name: string; readonly address: string }[],
  live: readonly string[],
): HostsEntry[] {
  const addresses = new Map(nodes.map(({ name, address }) => [name, address]));
  const ranked = live.flatMap((name) => {
    const address = addresses.get(name);
    return address === undefined ? [] : [address];
  });
  return [
    ...ranked.map((address, rank) => ({ name: `node-${rank}`, address })),
    ...nodes.map(({ name, address }) => ({ name, address })),
  ];
}

function isOurs(line: string): boolean {
  return line.trimEnd().endsWith(mark) && !line.trimStart().startsWith('#');
}
