/**
 * Activities on a simulated in-memory cluster, which record their calls, to test the workflows' own
 * decisions: order, parallelism, what is skipped, the effect of a failure.
 */
import type { HostKeys } from '../../src/cluster/host-keys.js';
import { ApplicationFailure, Context } from '@temporalio/activity';
import type { Activities } from '../../src/activities/index.js';
import type { LeavingHost } from '../../src/deployment/leaving.js';
import type { ConvergingStage } from '../../src/deployment/stages.js';
import type { HostSurvey } from '../../src/deployment/host-survey.js';
import type { ServiceMember } from '../../src/deployment/members.js';
import type { HostFacts } from '../../src/hosts/facts.js';
import type { Change } from '../../src/hosts/items.js';
import {
  etcdSecurity,
  hostsWithRole,
  nodeAddress,
  type ClusterSpec,
  type EtcdSecurity,
  type HostSpec,
  type Role,
} from '../../src/cluster/spec.js';

type State = ServiceMember['state'];

const services = {
  zookeeper: 'zookeeper',
  masters: 'master',
  agents: 'agent',
  keeper: 'proxy',
} as const satisfies Partial<Record<ConvergingStage, Role>>;
type ServiceStage = keyof typeof services;

export class SimulatedCluster {
  /** `activity` or `activity:host` or `activity:host:stage`, in the order of their starts. */
  readonly calls: string[] = [];
  /** Hosts that differ, by stage. */
  readonly differing = new Map<ConvergingStage, Set<string>>();
  readonly serving = new Map<ServiceStage, Map<string, State>>();
  /** The most hosts that a stage changed at a time, and the fewest members serving meanwhile. */
  readonly mostAtOnce = new Map<string, number>();
  readonly fewestServing = new Map<ServiceStage, number>();
  /** Called before an activity does its work, with its name as in `calls`. */
  before: (call: string) => Promise<void> | void = () => undefined;
  secretsMissingOn: readonly string[] = [];
  /** Hosts with the node image. */
  readonly imageOn = new Set<string>();
  /** Masters know the framework by another principal than the spec's. */
  principalDiffers = false;
  /** Nodes must be brought to `transition` first. */
  etcdTransition = false;
  /** Of etcd, in the specs that the framework got. */
  readonly securities: EtcdSecurity[] = [];
  refusesPrincipal = false;
  /** What nodes wait for, in sequence. */
  missing: readonly string[] = [];
  /** Hosts that the spec lacks. */
  leaving: readonly LeavingHost[] = [];
  framework: 'absent' | 'running' = 'absent';
  keeper: 'absent' | 'running' = 'absent';
  /** The hosts are marked with it. */
  id: string | undefined;
  /** What `checkIdentity` finds. */
  hostKeys: HostKeys | undefined;
  facts: (host: HostSpec) => Partial<HostFacts> = () => ({});

  readonly #active = new Map<string, number>();

  constructor(readonly spec: ClusterSpec) {
    for (const [stage, role] of Object.entries(services)) {
      const members = hostsWithRole(spec, role).map(({ name }) => [name, 'down'] as const);
      this.serving.set(stage as ServiceStage, new Map<string, State>(members));
    }
  }

  /** Nothing exists yet. */
  static empty(spec: ClusterSpec): SimulatedCluster {
    const cluster = new SimulatedCluster(spec);
    const names = spec.hosts.map(({ name }) => name);
    for (const stage of ['install', 'storage', 'zookeeper', 'masters', 'agents', 'keeper'] as const) {
      cluster.differing.set(stage, new Set(names));
    }
    cluster.secretsMissingOn = names;
    return cluster;
  }

  /** Everything runs, and the first host leads. */
  static deployed(spec: ClusterSpec): SimulatedCluster {
    const cluster = new SimulatedCluster(spec);
    for (const [stage, members] of cluster.serving) {
      const leads = stage === 'zookeeper' || stage === 'masters';
      for (const [index, host] of [...members.keys()].entries()) {
        members.set(host, leads && index === 0 ? 'leading' : 'up');
      }
    }
    cluster.framework = 'running';
    cluster.keeper = 'running';
    cluster.id = '5b0c2d3e-0000-4000-8000-000000000001';
    return cluster;
  }

  /** A change of the spec that the stage must apply to these hosts. */
  differ(stage: ConvergingStage, ...hosts: readonly string[]): this {
    this.differing.set(stage, new Set(hosts));
    return this;
  }

  lead(stage: ServiceStage, host: string): this {
    const members = this.serving.get(stage) ?? new Map<string, State>();
    for (const name of members.keys()) members.set(name, name === host ? 'leading' : 'up');
    return this;
  }

  activities(): Activities {
    const { spec } = this;
    const wait = (name: string) => async () => this.#did(name);
    return {
      surveyHost: async ({ host }) => {
        await this.#did(`surveyHost:${host}`);
        return this.#survey(host);
      },
      checkNoTeardown: wait('checkNoTeardown'),
      checkIdentity: async () => {
        await this.#did('checkIdentity');
        const { hostKeys } = this;
        return {
          ...(this.id === undefined ? { isMarked: false } : { id: this.id, isMarked: true }),
          ...(hostKeys && { hostKeys }),
        };
      },
      claimHosts: async ({ proposed }) => {
        await this.#did('claimHosts');
        this.id ??= proposed;
        const changes = spec.hosts.map(({ name: host }) => ({ host, what: 'wrote etc/cluster' }));
        return { id: this.id, changes };
      },
      ensureSecrets: async () => {
        await this.#did('ensureSecrets');
        const changes = this.secretsMissingOn.map((host) => ({ host, what: 'wrote the secrets' }));
        this.secretsMissingOn = [];
        return changes;
      },
      convergeHost: ({ host, stage }) => this.#converge(host, stage),
      ensureVolume: async () => {
        await this.#did('ensureVolume');
        return [];
      },
      deleteVolume: async () => {
        await this.#did('deleteVolume');
        return [];
      },
      awaitNetwork: async () => {
        await this.#did('awaitNetwork');
      },
      zookeeperMembers: () => this.#members('zookeeper'),
      planEnsemble: async () => {
        await this.#did('planEnsemble');
        return { steps: [], numbers: {} };
      },
      awaitZookeeper: async () => {
        await this.#whole('awaitZookeeper', 'zookeeper');
        return { leader: 'h1' };
      },
      openZnodes: async () => {
        await this.#did('openZnodes');
        return [];
      },
      protectZnodes: async () => {
        await this.#did('protectZnodes');
        return [];
      },
      masterMembers: () => this.#members('masters'),
      awaitMasters: async () => {
        await this.#whole('awaitMasters', 'masters');
        return { leader: 'h1' };
      },
      agentMembers: () => this.#members('agents'),
      awaitAgents: () => this.#whole('awaitAgents', 'agents'),
      etcdTransition: async () => {
        await this.#did('etcdTransition');
        return this.etcdTransition;
      },
      principalDiffers: async () => {
        await this.#did('principalDiffers');
        return this.principalDiffers;
      },
      forgetPrincipal: wait('forgetPrincipal'),
      awaitPrincipal: async () => {
        await this.#did('awaitPrincipal');
        if (this.refusesPrincipal) {
          throw ApplicationFailure.nonRetryable('refused', 'MESOS_CREDENTIAL_REFUSED');
        }
      },
      startAgents: async () => {
        await this.#did('startAgents');
        return [{ host: 'h1', what: 'restarted the Mesos agent' }];
      },
      awaitFormedEtcd: wait('awaitFormedEtcd'),
      awaitEtcd: async () => {
        await this.#did('awaitEtcd');
        return { leader: 'node0' };
      },
      observeImage: async () => {
        await this.#did('observeImage');
        const hosts = spec.hosts.map(({ name }) => ({ host: name, has: this.imageOn.has(name) }));
        return { reference: 'perijove-node:1', own: spec.nodes.image === 'perijove-node', hosts };
      },
      buildImage: async () => {
        await this.#did('buildImage');
        return { kind: 'worker' };
      },
      deliverImage: ({ host, source }) => this.#giveImage(`deliverImage:${host}`, host, source.kind),
      pullImage: ({ host }) => this.#giveImage(`pullImage:${host}`, host, 'registry'),
      announceNodes: async () => {
        await this.#did('announceNodes');
        return { changed: false };
      },
      ensureFramework: async ({ spec: given, leaving = [] }) => {
        this.securities.push(etcdSecurity(given));
        const names = leaving.map(({ name }) => `:${name}`).join('');
        await this.#did(`ensureFramework${names}`);
        const before = this.framework;
        this.framework = 'running';
        return before === 'absent' ? 'started' : 'unchanged';
      },
      awaitNodes: async ({ told }) => {
        await this.#did('awaitNodes');
        // Each missing item is reported once.
        const next = this.missing[told === undefined || told === null ? 0 : this.missing.indexOf(told) + 1];
        return { missing: next ?? null };
      },
      markEtcdFormed: async () => {
        await this.#did('markEtcdFormed');
        return { changed: false };
      },
      proxyMembers: () => this.#members('keeper'),
      ensureKeeper: async () => {
        await this.#did('ensureKeeper');
        const changed = this.keeper === 'absent';
        this.keeper = 'running';
        return { changed };
      },
      awaitKeeper: async () => {
        await this.#did('awaitKeeper');
        return { generation: 1, routes: {}, drifts: [], repairs: 0, incidents: [], events: [] };
      },
      verifyNotebooks: wait('verifyNotebooks'),
      verifySsh: wait('verifySsh'),
      cancelDeploy: async () => {
        await this.#did('cancelDeploy');
        return { cancelled: false };
      },
      endDrills: async () => [],
      stopKeeper: async () => {
        await this.#did('stopKeeper');
        const changed = this.keeper === 'running';
        this.keeper = 'absent';
        return { changed };
      },
      stopFramework: async () => {
        await this.#did('stopFramework');
        const ran = this.framework === 'running';
        this.framework = 'absent';
        return ran ? { tornDown: true } : undefined;
      },
      findLeaving: async () => {
        await this.#did('findLeaving');
        return this.leaving.map(({ host }) => host);
      },
      observeLeaving: async ({ host }) => {
        await this.#did(`observeLeaving:${host.name}`);
        const found = this.leaving.find((each) => each.host.name === host.name);
        return { host, services: found?.services ?? [] };
      },
      clearLeaving: async ({ host, purge }) => {
        await this.#did(`clearLeaving:${host.name}${purge ? ':purge' : ''}`);
        return [{ host: host.name, what: 'removed services and programs' }];
      },
      clearHost: async ({ host, purge }) => {
        await this.#did(`clearHost:${host}`);
        return [{ host, what: purge ? 'removed everything' : 'removed services and programs' }];
      },
      ...neverCalled(),
    };

    function neverCalled() {
      const refuse = (name: string) => async (): Promise<never> => {
        throw new Error(`${name} of ${spec.name} is not simulated`);
      };
      return {
        confirmRecovery: refuse('confirmRecovery'),
        beginEpoch: refuse('beginEpoch'),
        awaitEpoch: refuse('awaitEpoch'),
        spreadEpoch: refuse('spreadEpoch'),
        awaitMembers: refuse('awaitMembers'),
        noteRecovery: refuse('noteRecovery'),
        runScheduler: refuse('runScheduler'),
        teardownFramework: refuse('teardownFramework'),
        watchCluster: refuse('watchCluster'),
        sendNotice: refuse('sendNotice'),
        reconcileCluster: refuse('reconcileCluster'),
        prepareDrill: refuse('prepareDrill'),
        injectFault: refuse('injectFault'),
        healFault: refuse('healFault'),
        moveLeadership: refuse('moveLeadership'),
      };
    }
  }

  async #giveImage(call: string, host: string, from: string): Promise<Change[]> {
    await this.#did(call);
    this.imageOn.add(host);
    return [{ host, what: `took the image from the ${from}` }];
  }

  async #did(call: string): Promise<void> {
    this.calls.push(call);
    await this.before(call);
    Context.current().cancellationSignal.throwIfAborted();
  }

  async #members(stage: ServiceStage): Promise<readonly ServiceMember[]> {
    await this.#did(`members:${stage}`);
    return [...(this.serving.get(stage) ?? [])].map(([host, state]) => ({ host, state }));
  }

  async #whole(call: string, stage: ServiceStage): Promise<void> {
    await this.#did(call);
    const down = [...(this.serving.get(stage) ?? [])].filter(([, state]) => state === 'down');
    if (down.length > 0) throw new Error(`${stage} is not whole`);
  }

  async #converge(host: string, stage: ConvergingStage): Promise<readonly Change[]> {
    this.#enter(stage);
    const members = stage in services ? this.serving.get(stage as ServiceStage) : undefined;
    try {
      members?.set(host, 'down');
      if (members !== undefined) this.#count(stage as ServiceStage, members);
      await this.#did(`convergeHost:${host}:${stage}`);
      members?.set(host, 'up');
    } finally {
      this.#active.set(stage, (this.#active.get(stage) ?? 1) - 1);
    }
    if (this.differing.get(stage)?.delete(host) !== true) return [];
    return [{ host, what: `changed ${stage}` }];
  }

  #enter(stage: string): void {
    const active = (this.#active.get(stage) ?? 0) + 1;
    this.#active.set(stage, active);
    this.mostAtOnce.set(stage, Math.max(this.mostAtOnce.get(stage) ?? 0, active));
  }

  #count(stage: ServiceStage, members: ReadonlyMap<string, State>): void {
    const serving = [...members.values()].filter((state) => state !== 'down').length;
    this.fewestServing.set(stage, Math.min(this.fewestServing.get(stage) ?? Infinity, serving));
  }

  #survey(name: string): HostSurvey {
    const host = this.spec.hosts.find((each) => each.name === name);
    if (host === undefined) throw new Error(`no host ${name}`);
    const pending = Object.fromEntries(
      [...this.differing].flatMap(([stage, hosts]) =>
        hosts.has(name) ? [[stage, [{ host: name, what: `change ${stage}` }]] as const] : [],
      ),
    );
    return {
      host: name,
      facts: { ...goodFacts(this.spec, host), ...this.facts(host) },
      packages: [],
      pending,
    };
  }
}

function goodFacts(spec: ClusterSpec, host: HostSpec): HostFacts {
  return {
    host: host.name,
    os: { id: 'debian', version: '12', name: 'Debian GNU/Linux 12 (bookworm)' },
    arch: 'x86_64',
    kernel: '6.1.0',
    hostname: host.name,
    uid: 0,
    init: { systemd: false, runit: true },
    apt: true,
    freeBytes: 1e12,
    writable: [host.dir, ...(spec.storage.kind === 'path' ? [spec.storage.path] : [])],
    apart: [],
    memoryBytes: 8e9,
    cpus: 2,
    clock: { offsetMs: 0, errorMs: 1, reference: 'worker' },
    packages: [],
    daemons: [],
    programs: [spec.jupyter.executable],
    addresses: [
      host.address,
      ...Array.from({ length: spec.nodes.count }, (_, index) => nodeAddress(spec, index)),
    ],
    listeners: [],
  };
}
