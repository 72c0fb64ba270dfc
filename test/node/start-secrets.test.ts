import { describe, expect, it } from 'vitest';
import { issueClient, issueMember, makeAuthority } from '../../src/cluster/authority.js';
import { authorityCertificates } from '../../src/cluster/issued.js';
import { digestOf } from '../../src/node/start-secrets.js';
import { makeSpec } from '../support/spec.js';

const now = new Date();
const [first, second] = [await makeAuthority('first', now), await makeAuthority('second', now)];
const names = { names: ['etcd'], addresses: [] };
const secrets = {
  'jupyter-token': 'token',
  'jupyter-cookie-secret': 'cookies',
  'node-ssh-key': 'ssh',
  'node-host-key': 'host',
  'etcd-authority.crt': authorityCertificates(first),
  'etcd-member': await issueMember(first, names, now),
  'etcd-client': await issueClient(first, now),
};
const closed = makeSpec({ etcd: { security: 'authenticated' } });
const of = (changed: Partial<typeof secrets>, spec = closed) => digestOf(spec, { ...secrets, ...changed });

describe('the digest of the secrets that a node takes at its start', () => {
  it.each(['jupyter-token', 'jupyter-cookie-secret', 'node-ssh-key', 'node-host-key'] as const)(
    'differs with %s',
    (name) => expect(of({ [name]: 'other' })).not.toBe(of({})),
  );

  it('is the same with new certificates of the same authority, unless etcd has a copy', async () => {
    const issued = {
      'etcd-member': await issueMember(first, names, now),
      'etcd-client': await issueClient(first, now),
    };
    expect(of(issued)).toBe(of({}));
    const withUser = makeSpec({
      etcd: { security: 'authenticated' },
      nodes: { user: { uid: 60_801, gid: 60_801 } },
    });
    expect(of({ 'etcd-client': issued['etcd-client'] }, withUser)).toBe(of({}, withUser));
    expect(of({ 'etcd-member': issued['etcd-member'] }, withUser)).not.toBe(of({}, withUser));
  });

  it('differs with each step of another authority, and not with the order of both', async () => {
    const both = (...texts: readonly string[]) => ({
      'etcd-authority.crt': authorityCertificates(texts.join('\n')),
    });
    const client = { 'etcd-client': await issueClient(second, now) };
    const steps = [
      of({}),
      of(both(first, second)),
      of({ ...both(second, first), ...client }),
      of({ ...both(second), ...client }),
    ];
    expect(new Set(steps).size).toBe(4);
    expect(of(both(second, first))).toBe(of(both(first, second)));
  });

  it('does not depend on certificates where etcd is open, and contains no secret', () => {
    const open = makeSpec({ etcd: { security: 'open' } });
    expect(of({ 'etcd-client': 'nonsense' }, open)).toBe(of({}, open));
    expect(of({})).toMatch(/^[0-9a-f]{64}$/);
  });
});
