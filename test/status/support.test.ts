import { describe, expect, it } from 'vitest';
import { supportOf } from '../../src/status/support.js';

describe('supportOf', () => {
  it.each([
    ['3.4.23', /out of support since June 2026; a leader that was paused/],
    ['3.4.42', /^etcd 3.4 and older are out of support since June 2026$/],
    ['3.5.27', /^a leader that was paused/],
    ['3.6.8', /^a leader that was paused/],
  ])('warns of etcd %s', (version, note) => {
    const { supported, note: found } = supportOf('etcd', version);
    expect(supported).toBe(false);
    expect(found).toMatch(note);
  });

  it.each([
    ['etcd', '3.5.28'],
    ['etcd', '3.6.9'],
    ['etcd', '3.7.0'],
    ['temporal', '1.28.0'],
    ['mesos', '1.11.0'],
    ['node.js', 'v22.1.0'],
    ['docker', '20.10.24'],
    ['perijove', '0.1.0'],
    ['etcd', null],
    ['zookeeper', 'unreadable'],
  ] as const)('claims nothing of %s %s', (part, version) => {
    expect(supportOf(part, version)).toEqual({ supported: null, note: null });
  });

  it.each([
    ['temporal', '1.27.4'],
    ['mesos', '1.3.2'],
    ['node.js', 'v20.20.2'],
    ['zookeeper', '3.4.13'],
    ['jupyterlab', '3.6.7'],
  ] as const)('warns of %s %s', (part, version) => {
    expect(supportOf(part, version).supported).toBe(false);
  });
});
