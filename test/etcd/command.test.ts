import { describe, expect, it } from 'vitest';
import {
  addedMemberFlags,
  beginningFlags,
  newMemberFlags,
  type MemberSettings,
} from '../../src/etcd/command.js';

const settings: MemberSettings = {
  name: 'node1',
  address: '10.0.0.11',
  nodes: [
    { name: 'node0', address: '10.0.0.10' },
    { name: 'node1', address: '10.0.0.11' },
    { name: 'node2', address: '10.0.0.12' },
  ],
  clientPort: 2379,
  peerPort: 2380,
  token: 'etcd-cluster',
  heartbeatMs: 50,
  electionMs: 500,
  dataDir: '/data',
  onLoopback: false,
};

describe('newMemberFlags', () => {
  it('configures the static cluster like the original one', () => {
    expect(newMemberFlags(settings)).toEqual(
      expect.arrayContaining([
        '--name=node1',
        '--initial-advertise-peer-urls=http://10.0.0.11:2380',
        '--listen-peer-urls=http://10.0.0.11:2380',
        '--listen-client-urls=http://10.0.0.11:2379',
        '--advertise-client-urls=http://10.0.0.11:2379',
        '--initial-cluster-token=etcd-cluster',
        '--initial-cluster=node0=http://10.0.0.10:2380,node1=http://10.0.0.11:2380,node2=http://10.0.0.12:2380',
        '--initial-cluster-state=new',
        '--heartbeat-interval=50',
        '--election-timeout=500',
      ]),
    );
  });

  it('also serves clients on 127.0.0.1 if that is the node’s own', () => {
    expect(newMemberFlags({ ...settings, onLoopback: true })).toContain(
      '--listen-client-urls=http://10.0.0.11:2379,http://127.0.0.1:2379',
    );
  });
});

describe('the flags of TLS', () => {
  const files = { authority: '/secrets/ca', member: '/secrets/member' };

  it('have members and clients show certificates to each other', () => {
    const flags = newMemberFlags({
      ...settings,
      scheme: 'https',
      tls: { security: 'authenticated', ...files },
    });
    expect(flags).toEqual(
      expect.arrayContaining([
        '--listen-peer-urls=https://10.0.0.11:2380',
        '--listen-client-urls=https://10.0.0.11:2379',
        '--advertise-client-urls=https://10.0.0.11:2379',
        '--initial-cluster=node0=https://10.0.0.10:2380,node1=https://10.0.0.11:2380,node2=https://10.0.0.12:2380',
        '--client-cert-auth=true',
        '--trusted-ca-file=/secrets/ca',
        '--cert-file=/secrets/member',
        '--key-file=/secrets/member',
        '--peer-client-cert-auth=true',
        '--peer-trusted-ca-file=/secrets/ca',
        '--peer-cert-file=/secrets/member',
        '--peer-key-file=/secrets/member',
      ]),
    );
    expect(flags.filter((flag) => flag.includes('http:'))).toEqual([]);
  });

  it('let a member in transition reach others by TLS, and be reached without', () => {
    const flags = newMemberFlags({ ...settings, tls: { security: 'transition', ...files } });
    expect(flags).toEqual(
      expect.arrayContaining([
        '--listen-peer-urls=http://10.0.0.11:2380',
        '--listen-client-urls=http://10.0.0.11:2379',
        '--peer-cert-file=/secrets/member',
      ]),
    );
    expect(flags.filter((flag) => /^--(cert-file|client-cert-auth|trusted-ca-file)/.test(flag))).toEqual([]);
  });

  it('name members as they are listed, whatever scheme they have there', () => {
    const flags = addedMemberFlags({ ...settings, scheme: 'https' }, [
      { id: '1', name: 'node0', peerUrls: ['http://10.0.0.10:2380'], clientUrls: [], learner: false },
      { id: '2', name: '', peerUrls: ['https://10.0.0.11:2380'], clientUrls: [], learner: true },
      { id: '3', name: '', peerUrls: ['http://10.0.0.12:2380'], clientUrls: [], learner: false },
    ]);
    expect(flags).toContain(
      '--initial-cluster=node0=http://10.0.0.10:2380,node1=https://10.0.0.11:2380,node2=http://10.0.0.12:2380',
    );
  });
});

describe('beginningFlags', () => {
  const urls = { client: 'http://127.0.0.1:4000', peer: 'http://127.0.0.1:4001' };

  it('make a cluster of one that no other can reach, with other IDs than any before', () => {
    const flags = beginningFlags(settings, 'nothing', 3, urls);
    expect(flags).toEqual(
      expect.arrayContaining([
        '--initial-cluster-token=etcd-cluster-epoch-3',
        '--initial-cluster=node1=http://10.0.0.11:2380',
        '--initial-advertise-peer-urls=http://10.0.0.11:2380',
        '--advertise-client-urls=http://10.0.0.11:2379',
        '--listen-client-urls=http://127.0.0.1:4000',
        '--listen-peer-urls=http://127.0.0.1:4001',
      ]),
    );
    expect(flags).not.toContain('--force-new-cluster');
  });

  it('leave the other members out where there are data', () => {
    expect(beginningFlags(settings, 'data', 3, urls)).toContain('--force-new-cluster');
  });
});

describe('addedMemberFlags', () => {
  it('uses the members as etcd lists them, and names those that have no name yet', () => {
    const started = { clientUrls: ['http://x:2379'], learner: false };
    const flags = addedMemberFlags(settings, [
      { id: '1', name: 'node0', peerUrls: ['http://10.0.0.10:2380'], ...started },
      { id: '2', name: '', peerUrls: ['http://10.0.0.11:2380'], clientUrls: [], learner: false },
      { id: '3', name: '', peerUrls: ['http://10.0.0.12:2380'], clientUrls: [], learner: false },
      { id: '4', name: '', peerUrls: ['http://10.0.9.9:2380'], clientUrls: [], learner: false },
    ]);
    expect(flags).toContain('--initial-cluster-state=existing');
    expect(flags).toContain(
      '--initial-cluster=node0=http://10.0.0.10:2380,node1=http://10.0.0.11:2380,' +
        'node2=http://10.0.0.12:2380,member-4=http://10.0.9.9:2380',
    );
  });
});
