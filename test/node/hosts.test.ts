import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hostsDigest, hostsEntries, readHosts, renderHosts } from '../../src/node/hosts.js';

const nodes = [
  { name: 'node0', address: '10.0.0.10' },
  { name: 'node1', address: '10.0.0.11' },
  { name: 'node2', address: '10.0.0.12' },
];

describe('hostsEntries', () => {
  it('ranks the live nodes, the leader first, and keeps the stable names of all', () => {
    expect(hostsEntries(nodes, ['node2', 'node0'])).toEqual([
      { name: 'node-0', address: '10.0.0.12' },
      { name: 'node-1', address: '10.0.0.10' },
      ...nodes,
    ]);
  });
});

describe('renderHosts', () => {
  const docker = '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n10.0.0.11\t3f2a\n';

  it('adds our lines after all others', () => {
    expect(renderHosts(docker, [{ name: 'node0', address: '10.0.0.10' }])).toBe(
      `${docker}10.0.0.10\tnode0\t# perijove\n`,
    );
  });

  it('replaces our lines wherever they are', () => {
    const mixed = `10.0.0.9\tnode0\t# perijove\n${docker}10.0.0.8\tnode-0\t# perijove\n# by hand\n`;
    expect(renderHosts(mixed, [])).toBe(`${docker}# by hand\n`);
  });

  it('keeps a comment that mentions us', () => {
    expect(renderHosts('# lines below are kept by # perijove\n', [])).toBe(
      '# lines below are kept by # perijove\n',
    );
  });

  it('keeps every other line, returns the entries it was given, and is stable', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}[a-z0-9]$/);
    const entries = fc.array(fc.record({ name, address: fc.ipV4() }), { maxLength: 8 });
    const line = fc.string({ maxLength: 20 }).filter((text) => !/[\n\r]|# perijove/.test(text));
    fc.assert(
      fc.property(fc.array(line), entries, entries, (lines, before, after) => {
        const existing = renderHosts(lines.join('\n'), before);
        const text = renderHosts(existing, after);
        expect(readHosts(text)).toEqual(after);
        expect(renderHosts(text, after)).toBe(text);
        const kept = text.split('\n').filter((each) => !each.endsWith('# perijove'));
        expect(kept.join('\n').trimEnd()).toBe(lines.join('\n').trimEnd());
      }),
    );
  });
});

describe('hostsDigest', () => {
  it('does not depend on the order, but on the content', () => {
    expect(hostsDigest([...nodes].reverse())).toBe(hostsDigest(nodes));
    expect(hostsDigest(nodes.slice(1))).not.toBe(hostsDigest(nodes));
  });
});
