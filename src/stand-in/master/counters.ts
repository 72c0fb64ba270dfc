/** Counters of a master since its start, by their Mesos 1.3.2 metric names below `master/`. */
const names = [
  'dropped_messages',
  'invalid_executor_to_framework_messages',
  'invalid_framework_to_executor_messages',
  'invalid_status_update_acknowledgements',
  'invalid_status_updates',
  'messages_authenticate',
  'messages_deactivate_framework',
  'messages_decline_offers',
  'messages_executor_to_framework',
  'messages_exited_executor',
  'messages_framework_to_executor',
  'messages_kill_task',
  'messages_launch_tasks',
  'messages_reconcile_tasks',
  'messages_register_framework',
  'messages_register_slave',
  'messages_reregister_framework',
  'messages_reregister_slave',
  'messages_resource_request',
  'messages_revive_offers',
  'messages_status_update',
  'messages_status_update_acknowledgement',
  'messages_suppress_offers',
  'messages_unregister_framework',
  'messages_unregister_slave',
  'messages_update_slave',
  'recovery_slave_removals',
  'slave_registrations',
  'slave_removals',
  'slave_removals/reason_registered',
  'slave_removals/reason_unhealthy',
  'slave_removals/reason_unregistered',
  'slave_reregistrations',
  'slave_shutdowns_canceled',
  'slave_shutdowns_completed',
  'slave_shutdowns_scheduled',
  'slave_unreachable_canceled',
  'slave_unreachable_completed',
  'slave_unreachable_scheduled',
  'valid_executor_to_framework_messages',
  'valid_framework_to_executor_messages',
  'valid_status_update_acknowledgements',
  'valid_status_updates',
] as const;

/** A permanent counter, or one that appears with its first event: the reason a task was lost. */
export type CounterName =
  (typeof names)[number] | `task_${'dropped' | 'error' | 'lost'}/source_master/${string}`;

export class Counters {
  readonly #counts = new Map<string, number>(names.map((name) => [name, 0]));

  count(name: CounterName): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  /** All counters, as `master/NAME`. */
  metrics(): Record<string, number> {
    return Object.fromEntries([...this.#counts].map(([name, value]) => [`master/${name}`, value]));
  }
}

/** The counter of a scheduler API call, if it has one. */
export const callCounters: Readonly<Record<string, CounterName>> = {
  ACKNOWLEDGE: 'messages_status_update_acknowledgement',
  DECLINE: 'messages_decline_offers',
  KILL: 'messages_kill_task',
  MESSAGE: 'messages_framework_to_executor',
  RECONCILE: 'messages_reconcile_tasks',
  REQUEST: 'messages_resource_request',
  REVIVE: 'messages_revive_offers',
  SUPPRESS: 'messages_suppress_offers',
};
