/** Replacing secrets: what that means for the cluster, and how far it is. Pure. */
import {
  isAcceptedTwice,
  isDerived,
  isIssued,
  lastOf,
  nextOf,
  secretNames,
  type HeldName,
  type HeldSecrets,
  type PrimarySecret,
  type SteppedSecret,
} from '../cluster/secrets.js';
import type { HostSecrets } from '../hosts/secrets.js';

const nothingRestarts = 'nothing restarts, and no request fails';
const oneByOne =
  'each node is replaced, one at a time, after Jupyter and the leadership of etcd have moved away';
const restarts =
  'the masters restart one after the other, the leader last, then the agents; tasks keep running';

/** What people notice, as the rest of a sentence that begins with the secret. */
const effects: Readonly<Record<PrimarySecret, string>> = {
  'node-ssh-key': `${oneByOne}; until then, nodes before and after cannot reach each other by SSH`,
  'node-host-key': `${oneByOne}; until then, nodes before and after cannot reach each other by SSH`,
  'jupyter-token': `${oneByOne}; links with the old token stop working as soon as Jupyter has moved, and logins stay`,
  'jupyter-cookie-secret': `${oneByOne}; everybody logs in again`,
  'proxy-api-token': `${nothingRestarts}: proxies accept the old and the new one for the time between`,
  'node-api-token': `${nothingRestarts}: nodes accept the old and the new one for the time between`,
  'node-kernels-token': `${nothingRestarts}: nodes accept the old and the new one for the time between`,
  'zookeeper-digest': restarts,
  'mesos-credential': `${restarts}; until the scheduler has read it again, lost nodes are not relaunched`,
  'etcd-authority': `${oneByOne}, three times: members trust the new authority first, then get certificates of it, then no longer trust the old one`,
  'etcd-member': `${nothingRestarts}: etcd reads it at each new connection`,
  'https-authority': `nothing restarts; browsers warn until its certificate is installed where the old one was (\`proxy.tls: cluster\`)`,
  'https-server': `${nothingRestarts}: proxies show it from their next connection on`,
  'etcd-client': `${nothingRestarts}; the old one is accepted until its authority is replaced`,
};

export const rotatable: readonly PrimarySecret[] = secretNames.filter(
  (name): name is PrimarySecret => !isDerived(name),
);

/** @param nodesUser etcd runs as another user, and has a copy of its certificate */
export function effectOf(name: PrimarySecret, nodesUser: boolean): string {
  return name === 'etcd-member' && nodesUser ? oneByOne : effects[name];
}

export function isStepped(name: PrimarySecret): name is SteppedSecret {
  return !isIssued(name);
}

/**
 * `prepared`: the new value lies beside the old one, which is in force. `committed`: the new one is in force on some host
 * at least, and is to be on all.
 */
export type RotationState = 'none' | 'prepared' | 'committed';

export function rotationState(name: SteppedSecret, held: readonly HostSecrets[]): RotationState {
  const next = valueOf(nextOf(name), held);
  if (next === undefined) return 'none';
  return held.some(({ values }) => values[name] === next) ? 'committed' : 'prepared';
}

/** The first host decides, to which each value was written first. */
export function valueOf(name: HeldName, held: readonly HostSecrets[]): string | undefined {
  return held.map(({ values }) => values[name]).find((value) => value !== undefined);
}

/**
 * What each host is to have so that the new value comes into force: first, on all of them, what servers accept as well;
 * then, on all of them, the value itself.
 */
export function commitSteps(name: SteppedSecret, held: readonly HostSecrets[]): readonly HeldSecrets[] {
  const next = valueOf(nextOf(name), held);
  if (next === undefined) return [];
  const old = held.map(({ values }) => values[name]).find((value) => value !== undefined && value !== next);
  const last = isAcceptedTwice(name) ? (valueOf(lastOf(name), held) ?? old) : undefined;
  return [
    ...(isAcceptedTwice(name) && last !== undefined ? [{ [lastOf(name)]: last }] : []),
    { [name]: next },
  ];
}

/** The files that only a replacement needs. */
export function passingOf(name: SteppedSecret): readonly HeldName[] {
  return [nextOf(name), ...(isAcceptedTwice(name) ? [lastOf(name)] : [])];
}
