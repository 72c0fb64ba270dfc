import { expect, it } from 'vitest';
import { placesOf, type ClusterIdentity, type ClusterMark } from '../../src/cluster/identity.js';
import { decideIdentity } from '../../src/deployment/identity.js';
import { known, notKnown, type Observation } from '../../src/hosts/observation.js';
import { PerijoveError } from '../../src/errors/error.js';
import { makeHost, makeSpec } from '../support/spec.js';

const spec = makeSpec({ name: 'demo' });
const own: ClusterMark = { name: 'demo', id: 'id-1' };
const none = known(undefined);
const silent = notKnown('h3 does not respond');

type Marks = readonly [Mark, Mark, Mark];
type Mark = Observation<ClusterMark | undefined>;

function decide([h1, h2, h3]: Marks, running?: ClusterIdentity): string | undefined {
  return decideIdentity(spec, { marks: { h1, h2, h3 }, ...(running && { running }) });
}

function refusal(marks: Marks, running?: ClusterIdentity): Partial<PerijoveError> {
  try {
    decide(marks, running);
  } catch (error) {
    if (error instanceof PerijoveError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

const here = (id: string): ClusterIdentity => ({ id, places: placesOf(spec) });
const elsewhere = (id: string): ClusterIdentity => ({
  id,
  places: placesOf({ hosts: [makeHost('h1', { address: '127.0.9.1' })] }),
});

it('has no ID before the first deployment', () => {
  expect(decide([none, none, none])).toBeUndefined();
});

it('takes the ID from any host, whatever is not known of the others', () => {
  expect(decide([known(own), none, silent])).toBe('id-1');
  expect(decide([silent, silent, known(own)], here('id-1'))).toBe('id-1');
});

it('takes the ID from the running workflows when its hosts were installed anew', () => {
  expect(decide([none, none, silent], here('id-1'))).toBe('id-1');
});

it('does not take a host that is not known for one without a mark', () => {
  expect(decide([none, none, silent])).toBeUndefined();
  expect(() => decide([none, none, silent], elsewhere('id-2'))).toThrow(
    /another cluster named demo \(id-2\)/,
  );
});

it('refuses a host of another cluster, and names both', () => {
  const other = known({ name: 'other', id: 'id-9' });
  expect(refusal([known(own), none, other])).toMatchObject({
    code: 'CLUSTER_HOSTS_TAKEN',
    message: 'h3 belongs to the cluster other (id-9)',
    place: { host: 'h3', subject: '/opt/perijove/h3/etc/cluster' },
  });
});

it('refuses a host of another cluster with the same name', () => {
  expect(refusal([known(own), known({ name: 'demo', id: 'id-2' }), none])).toMatchObject({
    code: 'CLUSTER_HOSTS_TAKEN',
    message: 'h2 belongs to another cluster named demo (id-2, and not to id-1)',
  });
});

it('finds the stray host by the ID of the running workflows', () => {
  expect(refusal([known({ name: 'demo', id: 'id-2' }), known(own), none], here('id-1'))).toMatchObject({
    code: 'CLUSTER_HOSTS_TAKEN',
    place: { host: 'h1' },
  });
});

it('refuses the name of a cluster that runs on other hosts', () => {
  const refused = {
    code: 'CLUSTER_NAME_TAKEN',
    message:
      'another cluster named demo (id-2) is running in this Temporal namespace, on 127.0.9.1:2200/opt/perijove/h1',
  };
  expect(refusal([none, none, none], elsewhere('id-2'))).toMatchObject(refused);
  expect(refusal([known(own), none, none], elsewhere('id-2'))).toMatchObject(refused);
});

it('tells apart equal addresses behind different jump hosts', () => {
  const jump = (address: string) => ({ jump: { address, port: 22, user: 'root', agent: false } });
  const [a] = placesOf({ hosts: [makeHost('h1', jump('192.0.2.1'))] });
  const [b] = placesOf({ hosts: [makeHost('h1', jump('192.0.2.2'))] });
  expect(a).not.toBe(b);
});
