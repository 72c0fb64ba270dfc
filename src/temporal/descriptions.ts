/** What Temporal's Web UI says about each update beside its form, and in the metadata of a workflow. */
const descriptions: Readonly<Record<string, string>> = {
  announceNodes: 'Announce more nodes ahead of a spec: `[count]`.',
  attach: 'Attach to this deployment: `[digest of the spec]`. Refused for another spec.',
  claimScheduler: 'By a worker: become the scheduler of the framework.',
  configure: 'Apply a spec: `[spec]`. Idempotent; the deployment sends it.',
  cordon: 'Close a host to nodes: `["h1"]`. Those on it move one at a time.',
  fence: 'Declare a host dead: `["h1"]`. Its nodes are launched elsewhere.',
  forget: 'Declare that a host never comes back: `["h1"]`.',
  markEtcdFormed: 'By the deployment: etcd has been complete once.',
  move: 'Move Jupyter and leadership to a node: `["node3"]`.',
  noteIncident: 'By a worker: record a repair.',
  pause: 'Suspend automatic moves and repairs: `[{"reason": "…"}]`.',
  raiseEtcdEpoch: 'By a recovery: etcd is in this epoch.',
  renew: 'Continue as a new run, on the current build of the workers.',
  resume: 'End a pause.',
  retryScheduler: 'Start a scheduler that gave up again.',
  stop: 'By the teardown: end this workflow.',
  storeFencing: 'By the scheduler: give up tasks that may be lost.',
  storeFrameworkId: 'By the scheduler: store the ID that Mesos gave.',
  storeIntents: 'By the scheduler: store what it is about to launch, before it does.',
  storeMasters: 'By the scheduler: store which masters have which problem.',
  storeMesos: 'By the scheduler: store which master leads and which agents are registered.',
  storeMissing: 'By the scheduler: store what it waits for.',
  storeRetiring: 'By the scheduler: a task leaves etcd.',
  storeTaskUpdates: 'By the scheduler: store states of tasks, before it acknowledges them.',
  uncordon: 'Open a host to nodes again: `["h1"]`.',
};

/** The option of a handler with its description. */
export function described({ name }: { readonly name: string }): { readonly description: string } {
  return { description: descriptions[name] ?? name };
}
