import { readFileSync } from 'node:fs';
import type { MemberLog } from '../../src/elections/member-log.js';

/** Logs of real members, reduced to the lines about elections: `test/fixtures/elections/`. */
export function recorded(prefix: string, members: readonly string[]): MemberLog[] {
  return members.map((member) => ({ member, log: { known: true, value: text(`${prefix}-${member}`) } }));
}

export function text(name: string): string {
  return readFileSync(new URL(`../fixtures/elections/${name}.log`, import.meta.url), 'utf8');
}

export const threeNodes = ['node0', 'node1', 'node2'] as const;
export const fiveNodes = [...threeNodes, 'node3', 'node4'] as const;
export const threeHosts = ['h1', 'h2', 'h3'] as const;
export const ensemble = threeHosts.map((member, index) => ({
  ...{ id: index + 1, member, address: `127.92.1.${index + 1}` },
}));
export const mesosMasters = new Map([
  ['127.0.0.1:15050', 'm1'],
  ['127.0.0.1:15060', 'm2'],
  ['127.0.0.1:15070', 'm3'],
]);
