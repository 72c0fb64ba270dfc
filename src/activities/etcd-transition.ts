import { etcdTransition } from '../deployment/etcd-transition.js';
import type { ActivityDeps } from './deps.js';
import type { EtcdInput } from './etcd.js';

export function createTransitionActivities({ pool }: Pick<ActivityDeps, 'pool'>) {
  return {
    /** See `etcdTransition`. @throws PerijoveError OBSERVATION_INCOMPLETE */
    etcdTransition: ({ spec }: EtcdInput): Promise<boolean> => etcdTransition(pool, spec),
  };
}
