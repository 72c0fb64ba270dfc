import { describe, expect, it } from 'vitest';
import { brickPath, nextVolumeStep, parseBricks, parsePool } from '../../src/storage/gluster.js';
import { makeGluster, makeHost, makeSpec } from '../support/spec.js';

const storage = makeGluster();
const addresses = ['172.16.62.11', '172.16.62.12', '172.16.62.13'];
const spec = makeSpec({
  hosts: addresses.map((address, index) => makeHost(`h${index + 1}`, { address })),
  storage,
});

/** In the format of GlusterFS 10.3, without unused fields. */
const peer = (address: string, connected = 1, state = 'Peer in Cluster') => `<peer>
      <uuid>331d2552-2fc3-4f91-9b23-7c32fbec451a</uuid>
      <hostname>${address}</hostname>
      <hostnames>
        <hostname>${address}</hostname>
      </hostnames>
      <connected>${connected}</connected>
      <state>3</state>
      <stateStr>${state}</stateStr>
    </peer>`;
const own = `<peer><uuid>b</uuid><hostname>localhost</hostname><connected>1</connected></peer>`;
const peerStatus = (...peers: string[]) => `<peerStatus>${peers.join('')}</peerStatus>`;
const options = [
  ['nfs.disable', 'on'],
  ['cluster.quorum-type', 'auto'],
  ['cluster.server-quorum-type', 'server'],
  ['network.ping-timeout', '3'],
  ['user.perijove.cluster', 'test'],
] as const;
const volume = (status = 1) => `<volInfo><volumes><volume>
        <name>v</name>
        <status>${status}</status>
        <replicaCount>3</replicaCount>
        <bricks>
${addresses.map((address) => `<brick uuid="b">${address}:/srv/brick/v<name>${address}:/srv/brick/v</name><hostUuid>b</hostUuid><isArbiter>0</isArbiter></brick>`).join('\n')}
        </bricks>
        <options>
${options.map(([name, value]) => `<option><name>${name}</name><value>${value}</value></option>`).join('\n')}
        </options>
      </volume><count>1</count></volumes></volInfo>`;
const [, second = '', third = ''] = addresses;
const pool = peerStatus(peer(second), peer(third), own);
/** The output of one command. */
const answer = (inner: string) =>
  `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<cliOutput>\n  <opRet>0</opRet>\n${inner}\n</cliOutput>\n`;
const none = '<volInfo><volumes><count>0</count></volumes></volInfo>';
const next = (peers: string, volumes = none, of = spec) => {
  const observation = parsePool(answer(peers) + answer(volumes), 'v');
  return nextVolumeStep(
    of,
    storage,
    observation.known ? observation.value : expect.unreachable(observation.why),
  );
};

describe('nextVolumeStep', () => {
  it('forms a volume from nothing, and then has no further step', () => {
    expect(next(peerStatus(own))).toMatchObject({ kind: 'probe', peer: { name: 'h2' } });
    expect(next(peerStatus(peer(second), own))).toMatchObject({ kind: 'probe', peer: { name: 'h3' } });
    expect(next(pool)).toEqual({ kind: 'create' });
    expect(next(pool, volume(0))).toEqual({ kind: 'start' });
    expect(next(pool, volume())).toBeUndefined();
    const unset = volume().replace('<value>3</value>', '<value>42</value>');
    expect(next(pool, unset)).toEqual({ kind: 'set', option: 'network.ping-timeout', value: '3' });
  });

  describe('lets the hosts of the spec mount', () => {
    const allowing = (value: string | undefined, isMade: boolean, of = spec) => {
      const observation = parsePool(answer(pool) + answer(volume()), 'v');
      if (!observation.known || observation.value.volume === undefined) return expect.unreachable();
      const { options, ...rest } = observation.value.volume;
      const set = value === undefined ? options : { ...options, 'auth.allow': value };
      return nextVolumeStep(of, storage, { ...observation.value, isMade, volume: { ...rest, options: set } });
    };
    const whole = addresses.join(',');

    it.each([
      ['whoever was allowed', undefined, whole],
      ['everybody', '*', whole],
      ['one of them', second, [second, addresses[0], third].join(',')],
      ['others too', `10.0.0.9,${second}`, ['10.0.0.9', second, addresses[0], third].join(',')],
    ])('instead of %s', (_, present, value) => {
      expect(allowing(present, true)).toEqual({ kind: 'set', option: 'auth.allow', value });
      expect(allowing(value, true)).toBeUndefined();
    });

    it('but leaves a volume as it is that was there before', () => {
      expect(allowing(undefined, false)).toBeUndefined();
      expect(allowing('10.0.0.9', false)).toBeUndefined();
    });

    it('and those without a brick as well', () => {
      const more = { ...spec, hosts: [...spec.hosts, makeHost('h4', { address: '172.16.62.14' })] };
      expect(allowing(whole, true, more)).toMatchObject({ value: `${whole},172.16.62.14` });
    });
  });

  it('waits for an incomplete pool, and names a rejected peer', () => {
    expect(next(peerStatus(peer(second, 0), peer(third), own))).toEqual({
      kind: 'wait',
      reason: 'h2 is not connected',
    });
    expect(next(peerStatus(peer(second, 1, 'Accepted peer request'), peer(third), own))).toMatchObject({
      kind: 'wait',
    });
    expect(next(peerStatus(peer(second), peer(third, 1, 'Peer Rejected'), own))).toMatchObject({
      kind: 'rejected',
      peer: 'h3',
    });
  });

  it('changes no foreign volume, and accepts other bricks on hosts of the cluster', () => {
    expect(next(pool, volume().replaceAll('/srv/brick/v', '/other'))).toMatchObject({ kind: 'differs' });
    expect(next(pool, volume().replace('<value>test</value>', '<value>another</value>'))).toMatchObject({
      kind: 'differs',
      reason: 'it belongs to the cluster another',
    });
    const reordered = { ...spec, hosts: [makeHost('h0', { address: '172.16.62.10' }), ...spec.hosts] };
    const known = peerStatus(...addresses.map((address) => peer(address)), own);
    expect(next(known, volume(), reordered)).toBeUndefined();
  });

  it('places the brick below the mount point of a disk', () => {
    expect(brickPath(storage)).toBe('/srv/brick/v');
  });
});

describe('parsePool', () => {
  const whole = answer(pool) + answer(volume());

  it('reports an existing volume, and a missing one', () => {
    expect(parsePool(whole, 'v')).toMatchObject({ known: true, value: { volumeCount: 1, volume: {} } });
    expect(parsePool(whole, 'other')).toMatchObject({ known: true, value: { volumeCount: 1 } });
    expect(parsePool(answer(pool) + answer(none), 'v')).toMatchObject({
      known: true,
      value: { volumeCount: 0 },
    });
  });

  it('knows nothing from truncated output, wherever it ends', () => {
    for (let length = 0; length < whole.trimEnd().length; length += 1) {
      expect(parsePool(whole.slice(0, length), 'v'), `after ${length} characters`).toMatchObject({
        known: false,
      });
    }
    expect(parsePool(answer(volume()) + answer(pool).slice(0, 200) + answer(none), 'v').known).toBe(false);
  });

  it.each([
    [
      'another transaction',
      answer(pool) + answer('').replace('<opRet>0<', '<opRet>-1<opErrstr>busy</opErrstr><'),
    ],
    ['an error', answer(pool) + answer(none).replace('<opRet>0<', '<opRet>-1<')],
    ['no peers, not even itself', answer(peerStatus()) + answer(none)],
    ['one volume of two', answer(pool) + answer(volume().replace('<count>1<', '<count>2<'))],
    ['volumes without a count', answer(pool) + answer('<volInfo/>')],
    ['one command alone', answer(pool)],
  ])('knows nothing from output with %s', (_what, printed) => {
    expect(parsePool(printed, 'v')).toMatchObject({ known: false, why: expect.any(String) as string });
  });
});

describe('parseBricks', () => {
  it('parses which bricks are online, and how many files others still need from them', () => {
    const node = (host: string, path: string, status: number) =>
      `<node><hostname>${host}</hostname><path>${path}</path><peerid>p</peerid><status>${status}</status></node>`;
    const status = answer(`<volStatus><volumes><volume>
${node('10.0.0.1', '/srv/brick/v', 1)}
${node('10.0.0.2', '/srv/brick/v', 0)}
${node('Self-heal Daemon', 'localhost', 1)}
</volume></volumes></volStatus>`);
    const printed = `${status}
Gathering count of entries to be healed on volume v has been successful 

Brick 10.0.0.1:/srv/brick/v
Number of entries: 2

Brick 10.0.0.2:/srv/brick/v
Status: Brick is not connected
No gathered input for this brick

Brick 10.0.0.3:/srv/brick/v
No gathered input for this brick
`;
    expect(parseBricks(printed)).toEqual([
      { brick: '10.0.0.1:/srv/brick/v', online: true, pending: 2 },
      { brick: '10.0.0.2:/srv/brick/v', online: false, pending: null },
      { brick: '10.0.0.3:/srv/brick/v', online: false, pending: null },
    ]);
    expect(parseBricks('')).toEqual([]);
  });
});
