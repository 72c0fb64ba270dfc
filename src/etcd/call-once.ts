import type { IOptions } from 'etcd3';

type Policy = NonNullable<NonNullable<IOptions['faultHandling']>['global']>;

const neverAborted = new AbortController().signal;
const noEvents = { dispose: () => undefined };

/** A fault policy of the etcd client that makes each call once and passes on its result or error. */
export const callOnce: Policy = {
  async execute(call, signal = neverAborted) {
    return call({ signal });
  },
  // The client only executes policies. The other members of the type serve those who observe one.
  onSuccess: () => noEvents,
  onFailure: () => noEvents,
  get _altReturn(): never {
    throw new Error('exists in the type alone');
  },
};
