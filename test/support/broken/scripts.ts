/** Scenarios with broken commands on a host without systemd (test/broken/bare-host.host.test.ts). */
export type BareScenario =
  | 'converge a bare host'
  | 'converge a change'
  | 'reload a service'
  | 'stop, start and restart a service'
  | 'remove a service'
  | 'status and log of a service'
  | 'remove items'
  | 'remove a host'
  | 'purge a host'
  | 'clear a host'
  | 'fence a node'
  | 'set a broken replica aside'
  | 'look at a silent master'
  | 'provide secrets'
  | 'keep secrets'
  | 'mark a host'
  | 'unpack an archive'
  | 'survey a host'
  | 'locate a node';

/** Scenarios with broken commands on a server with systemd and Docker (test/broken/server.host.test.ts). */
export type ServerScenario =
  | 'install packages'
  | 'converge a bare server'
  | 'stop, start and restart a unit'
  | 'status and log of a unit'
  | 'remove units'
  | 'purge a server'
  | 'start a daemon'
  | 'enable a daemon'
  | 'stop own daemons'
  | 'make a network'
  | 'replace a network'
  | 'remove a network'
  | 'survey a network'
  | 'clear a server of containers'
  | 'fence a container'
  | 'remove a volume'
  | 'look for an image';

type Scenario = BareScenario | ServerScenario;

/** The scenarios that run a script, or why there are none. */
type Row = readonly [Scenario, ...Scenario[]] | { readonly not: string };

/** Every place in `src` that sends a script to a host, by file and function. */
export const scripts: Readonly<Record<string, Row>> = {
  'deployment/ensemble.ts#observeServer': { not: 'by the shell alone' },
  'deployment/host-survey.ts#observeNetwork': ['survey a network'],
  'deployment/etcd-transition.ts#treesOf': { not: 'by the shell alone' },
  'activities/framework-ways.ts#markFormed': { not: 'observes nothing' },
  'activities/framework-ways.ts#remember': { not: 'by the shell alone' },
  'activities/keeper.ts#presentProxy': { not: 'one cat, whose failure is no proxy to ask' },
  'activities/recovery.ts#beginEpoch': {
    not: 'by the shell alone, and a file that was not written is an error',
  },
  'activities/recovery.ts#noteEpoch': {
    not: 'by the shell alone, and a file that was not written is an error',
  },
  'hosts/secret-files.ts#writeSecrets': ['provide secrets'],
  'hosts/secret-files.ts#closeSecrets': ['keep secrets'],
  'hosts/secret-files.ts#removeSecrets': { not: 'looks at nothing' },
  'activities/teardown.ts#clearHost': ['clear a host', 'clear a server of containers'],
  'activities/zookeeper.ts#requireReadableData': { not: 'explains a failure, and changes nothing' },
  'activities/zookeeper.ts#configuredPort': { not: 'one sed, whose failure is no port to ask' },
  'cli/verbs/logs.ts#run': { not: 'prints a log for a person, and nothing follows from it' },
  'elections/gather.ts#readHost': { not: 'a log without the mark at its end is not known' },
  'cli/targets.ts#locateNode': ['locate a node'],
  'drill/faults/service-stop.ts#inject': { not: 'drills need a whole cluster' },
  'drill/faults/service-stop.ts#wasStopped': { not: 'drills need a whole cluster' },
  'drill/faults/reaching.ts#hostService': { not: 'drills need a whole cluster' },
  'drill/faults/brick-kill.ts#planBrick': { not: 'drills need a whole cluster' },
  'drill/faults/reaching.ts#readMark': { not: 'drills need a whole cluster' },
  'drill/faults/reaching.ts#onHost': { not: 'drills need a whole cluster' },
  'drill/faults/asking.ts#ask': { not: 'drills need a whole cluster' },
  'drill/observe.ts#findProcesses': { not: 'drills need a whole cluster' },
  'drill/counters.ts#countProcesses': { not: 'drills need a whole cluster' },
  'drill/faults/reaching.ts#kernelOn': { not: 'drills need a whole cluster' },
  'drill/marks.ts#isSame': { not: 'drills need a whole cluster' },
  'drill/notebooks.ts#readNotebooks': { not: 'drills need a whole cluster' },
  'drill/notebooks.ts#removeMarker': { not: 'looks at nothing' },
  'hosts/archives.ts#unpackArchive': ['unpack an archive'],
  'hosts/artifacts.ts#copiedOnHost': ['converge a bare host'],
  'hosts/converge.ts#compare': ['converge a bare host', 'converge a change', 'converge a bare server'],
  'hosts/converge.ts#makeDirectories': ['converge a bare host'],
  'hosts/converge.ts#perform': ['converge a bare host', 'enable a daemon', 'make a network'],
  'hosts/converge.ts#reload': ['reload a service'],
  'hosts/converge.ts#runServiceScript': ['converge a bare host', 'converge a change'],
  'hosts/converge.ts#undo': { not: 'the scripts that remove and stop, which the drivers send' },
  'hosts/listening.ts#listensAt': { not: 'by the shell alone' },
  'hosts/way-in.ts#keepWayIn': { not: 'looks at nothing' },
  'hosts/daemons.ts#startDaemon': ['start a daemon'],
  'hosts/daemons.ts#stopOwnDaemons': ['stop own daemons'],
  'hosts/facts.ts#gatherFacts': ['survey a host'],
  'hosts/packages.ts#runInstallation': ['install packages'],
  'hosts/pin-package.ts#pendingPins': { not: 'refuses what dpkg did not report, and changes nothing' },
  'hosts/pin-package.ts#removePinned': { not: 'by the shell alone, for files that Perijove marked' },
  'hosts/remove.ts#removeItems': ['remove items', 'remove units'],
  'hosts/remove.ts#removeHost': ['remove a host', 'purge a host', 'purge a server'],
  'hosts/identity.ts#readMark': ['mark a host'],
  'hosts/identity.ts#writeMark': ['mark a host'],
  'hosts/secrets.ts#hostSecrets': ['provide secrets', 'keep secrets'],
  'hosts/services.ts#observeInit': ['purge a server'],
  'hosts/services.ts#run': ['stop, start and restart a service', 'stop, start and restart a unit'],
  'hosts/services.ts#status': ['status and log of a service', 'status and log of a unit'],
  'hosts/services.ts#logs': ['status and log of a service', 'status and log of a unit'],
  'mesos/installation/installation.ts#observeMesos': ['survey a host'],
  'mesos/installation/running-secrets.ts#fileOf': { not: 'one cat, whose failure is an error' },
  'mesos/masters/running-port.ts#runningMasterPort': {
    not: "without a response the port is not the master's",
  },
  'mesos/masters/set-aside.ts#observeSilentMaster': ['look at a silent master'],
  'mesos/masters/set-aside.ts#readSetAside': { not: 'the same as in observeSilentMaster' },
  'mesos/masters/set-aside.ts#startMaster': ['set a broken replica aside'],
  'mesos/masters/set-aside.ts#setAside': ['set a broken replica aside'],
  'network/remove.ts#removeNetwork': ['remove a network'],
  'node/fence.ts#fenceNode': ['fence a node', 'fence a container'],
  'node/image/base.ts#ensureBase': { not: 'needs a registry or a mirror' },
  'node/image/host.ts#hostHasImage': ['look for an image'],
  'node/image/host.ts#pullOnHost': { not: 'looks at nothing' },
  'node/image/host.ts#buildOnHost': { not: 'looks at nothing' },
  'node/image/host.ts#fetchFromHost': { not: 'removes its own archive alone' },
  'node/image/host.ts#loadOnHost': { not: 'removes its own archive alone' },
  'node/image/host.ts#checkSpace': { not: 'refuses or goes on' },
  'proxy/address.ts#proxyAddress': { not: 'without a certificate it is an error' },
  'ssh/upload.ts#uploadFile': ['converge a bare host', 'unpack an archive'],
  'ssh/upload.ts#downloadFile': { not: 'one cat, whose failure is no file' },
  'status/etcd-survey.ts#treesOn': { not: 'one program, whose empty answer is not known' },
  'status/part-versions.ts#hostVersions': {
    not: 'prints versions for a person, and nothing follows from it',
  },
  'storage/volume.ts#observePool': ['remove a volume'],
  'storage/volume.ts#observeBricks': ['remove a volume'],
  'storage/volume.ts#create': { not: 'needs three servers with GlusterFS' },
  'storage/volume.ts#command': ['remove a volume'],
  'storage/volume.ts#markAsTaken': { not: 'looks at nothing' },
  'storage/volume.ts#dissolve': ['remove a volume'],
  'storage/volume.ts#removeVolume': ['remove a volume'],
  'storage/volume.ts#brickState': ['remove a volume'],
  'storage/volume.ts#unmountVolume': ['clear a host'],
};

/** The scripts of the drivers of both init systems. */
export const driverScripts: Readonly<Record<string, readonly [BareScenario, ServerScenario]>> = {
  installScript: ['converge a bare host', 'converge a bare server'],
  startScript: ['stop, start and restart a service', 'stop, start and restart a unit'],
  stopScript: ['stop, start and restart a service', 'stop, start and restart a unit'],
  restartScript: ['stop, start and restart a service', 'stop, start and restart a unit'],
  removeScript: ['remove a service', 'remove units'],
  removeAllScript: ['purge a host', 'purge a server'],
  statusScript: ['status and log of a service', 'status and log of a unit'],
  logsScript: ['status and log of a service', 'status and log of a unit'],
  killScript: ['status and log of a service', 'status and log of a unit'],
};

/** Other functions called `run` or `exec`: none of these is a connection to a host. */
export const noConnections: readonly string[] = [
  ...[
    'call.definition',
    'client',
    'command',
    'control.gate',
    'definition',
    'election',
    'follower',
    'invisible',
    'jupyter',
    'lane',
    'linePattern',
    'messagePattern',
    'notificationPattern',
    'scope',
    'session',
    'templatePattern',
    'work',
  ],
  ...['stage', 'this.#mesos', 'this.member', 'transport', 'worker'],
];
