import type { Verb } from './parser.js';

const groups = { deploy: 'Deploy:', look: 'Look:', keep: 'Keep:', run: 'Run:' } as const;

/** Every verb, in help order. */
export const verbs: readonly Verb[] = [
  {
    name: 'init',
    summary: 'write a commented cluster.yaml',
    group: groups.deploy,
    load: async () => (await import('./verbs/init.js')).initCommand,
  },
  {
    name: 'check',
    summary: 'check the spec and every host for what would block a deployment',
    group: groups.deploy,
    load: async () => (await import('./verbs/check.js')).checkCommand,
  },
  {
    name: 'host-keys',
    summary: 'print the SSH keys of the hosts, as the spec takes them',
    group: groups.deploy,
    load: async () => (await import('./verbs/host-keys.js')).hostKeysCommand,
  },
  {
    name: 'plan',
    summary: 'print what `up` would change, and change nothing',
    group: groups.deploy,
    load: async () => (await import('./verbs/plan.js')).planCommand,
  },
  {
    name: 'up',
    summary: 'deploy the cluster, or change it to match the spec',
    group: groups.deploy,
    load: async () => (await import('./verbs/up.js')).upCommand,
  },
  {
    name: 'down',
    summary: 'stop the cluster',
    group: groups.deploy,
    load: async () => (await import('./verbs/down.js')).downCommand,
  },
  {
    name: 'status',
    summary: 'print who leads, what runs where, and what is down',
    group: groups.look,
    load: async () => (await import('./verbs/status.js')).statusCommand,
  },
  {
    name: 'kernels',
    summary: 'the kernels of notebooks, on all nodes',
    group: groups.look,
    load: async () => (await import('./verbs/kernels.js')).kernelsCommand,
  },
  {
    name: 'logs',
    summary: 'print the log of a service or a node',
    group: groups.look,
    load: async () => (await import('./verbs/logs.js')).logsCommand,
  },
  {
    name: 'elections',
    summary: 'replay the last elections, step by step, from the logs of the members',
    group: groups.look,
    load: async () => (await import('./verbs/elections.js')).electionsCommand,
  },
  {
    name: 'ssh',
    summary: 'open a shell, or run a command, on a host or a node',
    group: groups.look,
    load: async () => (await import('./verbs/ssh.js')).sshCommand,
  },
  {
    name: 'secrets',
    summary: 'the secrets that the hosts keep',
    group: groups.look,
    load: async () => (await import('./verbs/secrets.js')).secretsCommand,
  },
  {
    name: 'open',
    summary: 'open Jupyter, Temporal, Mesos or the status page in the browser',
    group: groups.look,
    load: async () => (await import('./verbs/open.js')).openCommand,
  },
  {
    name: 'ui',
    summary: 'serve the status page',
    group: groups.look,
    load: async () => (await import('./verbs/ui.js')).uiCommand,
  },
  {
    name: 'events',
    summary: 'follow the events of the keeper, of Mesos and of its tasks',
    group: groups.look,
    load: async () => (await import('./verbs/events.js')).eventsCommand,
  },
  {
    name: 'history',
    summary: 'list past operations on the cluster: who started them, and what changed',
    group: groups.look,
    load: async () => (await import('./verbs/history.js')).historyCommand,
  },
  {
    name: 'versions',
    summary: 'print the versions of everything that the cluster runs on',
    group: groups.look,
    load: async () => (await import('./verbs/versions.js')).versionsCommand,
  },
  {
    name: 'move',
    summary: 'move Jupyter and leadership to a node, without a failed request',
    group: groups.keep,
    load: async () => (await import('./verbs/move.js')).moveCommand,
  },
  {
    name: 'pause',
    summary: 'suspend automatic moves and repairs, for maintenance',
    group: groups.keep,
    load: async () => (await import('./verbs/pause.js')).pauseCommand,
  },
  {
    name: 'resume',
    summary: 'resume automatic moves and repairs',
    group: groups.keep,
    load: async () => (await import('./verbs/pause.js')).resumeCommand,
  },
  {
    name: 'drain',
    summary: 'move all nodes off a host, for its maintenance',
    group: groups.keep,
    load: async () => (await import('./verbs/drain.js')).drainCommand,
  },
  {
    name: 'uncordon',
    summary: 'permit nodes on a drained host again',
    group: groups.keep,
    load: async () => (await import('./verbs/uncordon.js')).uncordonCommand,
  },
  {
    name: 'fence',
    summary: 'declare a host dead so that its nodes are rescheduled',
    group: groups.keep,
    load: async () => (await import('./verbs/fence.js')).fenceCommand,
  },
  {
    name: 'forget',
    summary: 'declare that a host removed from the spec never comes back',
    group: groups.keep,
    load: async () => (await import('./verbs/forget.js')).forgetCommand,
  },
  {
    name: 'recover',
    summary: 'bring back a part that cannot return by itself',
    group: groups.keep,
    load: async () => (await import('./verbs/recover.js')).recoverCommand,
  },
  {
    name: 'promote',
    summary: 'make the workers of this release the current ones',
    group: groups.run,
    load: async () => (await import('./verbs/promote.js')).promoteCommand,
  },
  {
    name: 'payload-keys',
    summary: 'the keys that encrypt what Temporal stores',
    group: groups.run,
    load: async () => (await import('./verbs/payload-keys.js')).payloadKeysCommand,
  },
  {
    name: 'codec-server',
    summary: "decrypt workflows for Temporal's Web UI and command line",
    group: groups.run,
    load: async () => (await import('./verbs/codec-server.js')).codecServerCommand,
  },
  {
    name: 'worker',
    summary: 'run a worker, which runs workflows and reaches the hosts over SSH',
    group: groups.run,
    load: async () => (await import('./verbs/worker.js')).workerCommand,
  },
  {
    name: 'lab',
    summary: 'run a whole cluster on this machine',
    group: groups.run,
    load: async () => (await import('./verbs/lab.js')).labCommand,
  },
  {
    name: 'drill',
    summary: 'inject a fault and measure how the cluster recovers',
    group: groups.run,
    load: async () => (await import('./verbs/drill.js')).drillCommand,
  },
  {
    name: 'completion',
    summary: 'print a script that completes commands in your shell',
    group: groups.run,
    load: async () => (await import('./verbs/completion.js')).completionCommand(verbs),
  },
];
