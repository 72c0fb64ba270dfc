import { mkdir, open, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { createEtcdClient, type EtcdClient } from '../../etcd/client.js';
import { viewMember } from '../../etcd/probe.js';
import { addedMemberFlags, newMemberFlags, peerUrl, type MemberSettings } from '../../etcd/command.js';
import { clearData, dropData, keepData, readData } from '../../etcd/data.js';
import {
  decideEtcdStart,
  quorumOf,
  tellPatienceMs,
  type Decision,
  type Observation,
  type PeerView,
} from '../../etcd/decide.js';
import type { PeerScheme } from '../../etcd/members.js';
import type { EtcdAccess } from '../../etcd/security.js';
import { staticClusterId, staticMemberId } from '../../etcd/identity.js';
import { startFailure, type StartFailure } from '../../etcd/start-failure.js';
import { messageOf } from '../../errors/error.js';
import { quote } from '../../ssh/shell.js';
import type { SecretName } from '../../cluster/secrets.js';
import type { NodeConfig } from '../config.js';
import { readReplacement, storeDecision, storeReplacement } from './decision-file.js';
import { isMissing, replaceFile } from '../../net/files.js';
import { nodeLayout } from '../layout.js';
import { beginEpoch } from './begin-epoch.js';
import { etcdUser } from '../identity.js';
import { isThere, peerAccess } from './etcd-access.js';
import { readSecret, writeSecret } from './prepare.js';
import { userOf } from './user.js';
import { forgetSeed, raiseEpoch, readEpoch, readSeed } from './epoch-files.js';
import type { StartedNode } from './started.js';

/** etcd 3.4 runs on 64-bit ARM only when asked to. */
const architecture = process.arch === 'arm64' ? ['env', 'ETCD_UNSUPPORTED_ARCH=arm64'] : [];

/** Between two observations while there is nothing to do. */
const waitMs = 300;

/**
 * `perijove-node etcd`: decides how to start etcd, prepares it, and resolves when the command that starts it
 * is written. It may be killed and run again at any point.
 */
export async function prepareEtcd({ config, programs }: StartedNode, logger: Logger): Promise<void> {
  await provideFiles(config);
  const clients = peerClients(config, await peerAccess(config));
  // Read before this start logs anything.
  const failure = startFailure(await logOf(`${nodeLayout(config.paths.base).log}/etcd`));
  if (failure !== undefined) logger.warn(failure, 'etcd ended by itself');
  const preparation = new Preparation(config, programs.etcd, clients, logger, failure);
  try {
    while (!(await preparation.step()));
  } finally {
    for (const client of clients.values()) client.close();
  }
}

type PeerClients = ReadonlyMap<string, EtcdClient>;

function peerClients(config: NodeConfig, access: EtcdAccess): PeerClients {
  return new Map(
    config.nodes
      .filter(({ name }) => name !== config.name)
      .map(({ name, address }) => [
        name,
        createEtcdClient({ host: address, port: config.ports.etcdClient }, { deadlineMs: 800, access }),
      ]),
  );
}

/** Observes, decides and acts until etcd can be started. */
class Preparation {
  readonly #config: NodeConfig;
  readonly #program: string;
  readonly #clients: PeerClients;
  readonly #logger: Logger;
  readonly #layout: ReturnType<typeof nodeLayout>;
  readonly #settings: MemberSettings;
  readonly #learner = new LearnerWatch();
  readonly #begunAt = performance.now();
  /** As of the last observation. */
  #epoch = 0;
  /** ID of the member that this process added. */
  #added: string | undefined;
  #logged = '';

  constructor(
    config: NodeConfig,
    program: string,
    clients: PeerClients,
    logger: Logger,
    private readonly failure: StartFailure | undefined,
  ) {
    this.#config = config;
    this.#program = program;
    this.#clients = clients;
    this.#logger = logger;
    this.#layout = nodeLayout(config.paths.base);
    this.#settings = memberSettings(config, this.#layout.etcdData);
  }

  /** @returns whether the command that starts etcd is written */
  async step(): Promise<boolean> {
    const decision = await this.#decide();
    const started = decision.kind.startsWith('start-');
    const show = (trouble = this.failure?.words) =>
      storeDecision(this.#layout.etcdDecision, {
        started,
        reason: `${decision.kind}: ${decision.reason}`,
        ...(this.#epoch > 0 && { epoch: this.#epoch }),
        ...(trouble !== undefined && { trouble }),
      });
    await show();
    try {
      await this.#act(decision);
      return started;
    } catch (error) {
      this.#logger.warn(
        { decision: decision.kind, error: messageOf(error) },
        'the decision could not be carried out; deciding again',
      );
      if (decision.kind === 'begin-epoch') await show(messageOf(error));
      await delay(waitMs);
      return false;
    }
  }

  async #decide(): Promise<Decision> {
    const observation = await observe(this.#config, this.#settings, this.#clients, this.#added);
    this.#epoch = observation.epoch;
    const retired = await isThere(this.#layout.etcdRetired);
    const replaced = await this.#replacedMsAgo(observation);
    const decided = decideEtcdStart({
      ...observation,
      ...((await this.#mustTell()) && { mustTell: true }),
      learnerSilentMs: this.#learner.silentMs(observation.peers),
      // The data of a retiring node shows which member is to leave.
      ...(this.failure !== undefined && !retired && { failure: this.failure }),
      ...(replaced !== undefined && { replacedMsAgo: replaced }),
    });
    const decision: Decision =
      decided.kind !== 'drop-data' && decided.kind !== 'adopt-epoch' && retired
        ? { kind: 'wait', reason: 'the node is being removed; it does not rejoin' }
        : decided;
    const { kind, reason } = decision;
    if (`${kind}: ${reason}` !== this.#logged) {
      this.#logged = `${kind}: ${reason}`;
      this.#logger.info({ decision: kind, reason, data: observation.data }, 'etcd');
    }
    return decision;
  }

  async #act(decision: Decision): Promise<void> {
    switch (decision.kind) {
      case 'start-new':
        await this.#freshData();
        await this.#reachedBy(this.#settings.scheme);
        await this.#writeCommand(newMemberFlags(this.#settings));
        return;
      case 'start-with-data': {
        if (decision.scheme !== undefined) await this.#reachedBy(decision.scheme);
        const scheme = (await isThere(this.#layout.etcdPeerTls)) ? 'https' : 'http';
        await this.#writeCommand(newMemberFlags({ ...this.#settings, scheme }));
        return;
      }
      case 'announce':
        await throughAny(this.#clients, decision, (client) =>
          client.memberUpdate(decision.memberId, decision.peerUrl, { deadlineMs: 5_000 }),
        );
        return;
      case 'begin-epoch':
        if (decision.from === 'nothing') {
          await clearData(this.#layout.etcdData);
          await this.#reachedBy(this.#settings.scheme);
        }
        await beginEpoch([...architecture, this.#program], this.#settings, decision.from, this.#epoch);
        // In this order: until the seed is gone, all of it may be repeated.
        await raiseEpoch(this.#layout.etcdDataEpoch, this.#epoch);
        await forgetSeed(this.#layout.etcdSeed);
        return;
      case 'adopt-epoch': {
        const { etcdEpoch, etcdDataEpoch } = this.#layout;
        await raiseEpoch(decision.of === 'node' ? etcdEpoch : etcdDataEpoch, decision.epoch);
        return;
      }
      case 'start-added':
        await this.#freshData();
        await this.#reachedBy(this.#settings.scheme);
        await this.#writeCommand(addedMemberFlags(this.#settings, decision.members));
        return;
      case 'drop-data':
        if (decision.damaged !== undefined) {
          await storeReplacement(this.#layout.etcdReplaced, {
            at: new Date().toISOString(),
            why: this.failure?.words ?? decision.reason,
            ...decision.damaged,
          });
        }
        if (decision.outdated === undefined) await dropData(this.#layout.etcdData);
        else await keepData(this.#layout.etcdData, decision.outdated);
        return;
      case 'remove':
        await throughAny(this.#clients, decision, (client) =>
          client.memberRemove(decision.memberId, { deadlineMs: 5_000 }),
        );
        return;
      case 'add':
        this.#added = await throughAny(this.#clients, decision, (client) =>
          client.memberAdd(peerUrl(this.#settings), { deadlineMs: 5_000 }),
        );
        return;
      case 'wait':
        await delay(waitMs);
    }
  }

  /** Makes room for the data of a member of this epoch. */
  async #freshData(): Promise<void> {
    await clearData(this.#layout.etcdData);
    await raiseEpoch(this.#layout.etcdDataEpoch, this.#epoch);
  }

  /** While they may still answer, so that the member need not start where it is not to be. */
  async #mustTell(): Promise<boolean> {
    const { scheme, tls } = this.#settings;
    if (tls?.security === 'transition' || performance.now() - this.#begunAt > tellPatienceMs) return false;
    return (await isThere(this.#layout.etcdPeerTls)) !== (scheme === 'https');
  }

  /** Notes how the others reach the member, for a start at which none of them answers. */
  async #reachedBy(scheme: PeerScheme | undefined): Promise<void> {
    if (scheme === 'https') await replaceFile(this.#layout.etcdPeerTls, '');
    else await rm(this.#layout.etcdPeerTls, { force: true });
  }

  /** A replacement that was recorded but not carried out before a kill does not count. */
  async #replacedMsAgo({ data }: Observation): Promise<number | undefined> {
    const last = await readReplacement(this.#layout.etcdReplaced);
    if (last === undefined || (data.kind === 'member' && data.memberId === last.memberId)) return undefined;
    return Math.abs(Date.now() - Date.parse(last.at));
  }

  async #writeCommand(flags: readonly string[]): Promise<void> {
    const command = [...architecture, this.#program, ...flags].map(quote).join(' ');
    await replaceFile(this.#layout.etcdCommand, `exec ${command}\n`);
  }
}

function memberSettings(config: NodeConfig, dataDir: string): MemberSettings {
  const { security } = config.etcd;
  const file = (name: EtcdFile) => `${etcdFiles(config)}/${name}`;
  return {
    ...(security !== undefined && {
      scheme: security === 'authenticated' ? 'https' : 'http',
      tls: { security, authority: file('etcd-authority.crt'), member: file('etcd-member') },
    }),
    name: config.name,
    address: config.address,
    nodes: config.nodes,
    clientPort: config.ports.etcdClient,
    peerPort: config.ports.etcdPeer,
    token: config.etcd.token,
    heartbeatMs: config.etcd.heartbeatMs,
    electionMs: config.etcd.electionMs,
    dataDir,
    onLoopback: config.ownsMachine,
  };
}

const etcdFileNames = ['etcd-authority.crt', 'etcd-member'] as const satisfies readonly SecretName[];
type EtcdFile = (typeof etcdFileNames)[number];

/** Directory of the files that the process of etcd reads. */
function etcdFiles(config: NodeConfig): string {
  return userOf(config) === undefined ? config.paths.secrets : nodeLayout(config.paths.base).etcdSecrets;
}

/** Copies for an etcd that is not root; nobody else reads them. */
async function provideFiles(config: NodeConfig): Promise<void> {
  if (userOf(config) === undefined || config.etcd.security === undefined) return;
  const directory = etcdFiles(config);
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { mode: 0o755 });
  for (const name of etcdFileNames) {
    await writeSecret(`${directory}/${name}`, await readSecret(config, name), etcdUser, 0o400);
  }
}

async function observe(
  config: NodeConfig,
  settings: MemberSettings,
  clients: PeerClients,
  added: string | undefined,
): Promise<Observation & { readonly epoch: number }> {
  const layout = nodeLayout(config.paths.base);
  const data = await readData(layout.etcdData);
  // From now on the node has had a member: if its data are lost, it must not bootstrap again.
  if (data.kind === 'member') await replaceFile(layout.etcdFormed, '');
  // The seed is written first, so it is read last: a node that knew of its epoch alone would set its data aside.
  const epoch = await readEpoch(layout.etcdEpoch);
  const seed = await readSeed(layout.etcdSeed);
  const dataEpoch = await readEpoch(layout.etcdDataEpoch);
  const formed = epoch > 0 || (await isThere(layout.etcdFormed));
  const peers = await Promise.all([...clients].map(([node, client]) => viewMember(node, client)));
  const urls = config.nodes.map(({ address }) => peerUrl({ ...settings, address }));
  return {
    name: config.name,
    peerUrl: peerUrl(settings),
    ...(settings.tls?.security === 'transition' && { anyScheme: true }),
    formed,
    epoch,
    dataEpoch,
    ...(seed?.epoch === epoch && { seed: seed.from }),
    static: {
      memberId: staticMemberId(peerUrl(settings), settings.token),
      clusterId: staticClusterId(urls, settings.token),
    },
    data,
    ...(added === undefined ? {} : { added }),
    peers,
  };
}

/** Enough for the message of a panic and Go's stack traces after it. */
const logTailBytes = 512 * 1024;

/** The end of an svlogd log: of the current file and the one before. */
async function logOf(directory: string): Promise<string> {
  const names = await readdir(directory).catch((error: unknown): string[] => {
    if (isMissing(error)) return [];
    throw error;
  });
  const older = names.filter((name) => name.startsWith('@')).toSorted();
  const files = [...older.slice(-1), ...(names.includes('current') ? ['current'] : [])];
  return (await Promise.all(files.map((name) => tailOf(path.join(directory, name))))).join('');
}

async function tailOf(file: string): Promise<string> {
  try {
    await using handle = await open(file);
    const { size } = await handle.stat();
    const start = Math.max(0, size - logTailBytes);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(logTailBytes), 0, logTailBytes, start);
    return buffer.subarray(0, bytesRead).toString('utf8');
  } catch (error) {
    // It was rotated away in between.
    if (isMissing(error)) return '';
    throw error;
  }
}

/** For how long the cluster's one learner has been listed without responding. */
class LearnerWatch {
  #seen: { readonly id: string; readonly at: number } | undefined;

  silentMs(peers: readonly PeerView[]): number {
    const id = quorumOf({ peers })?.membership.members.find((member) => member.learner)?.id;
    const answers = peers.some((peer) => !peer.ok && peer.learner === id);
    if (id === undefined || answers) this.#seen = undefined;
    else if (this.#seen?.id !== id) this.#seen = { id, at: performance.now() };
    return this.#seen === undefined ? 0 : performance.now() - this.#seen.at;
  }
}

/** Tries the members one after the other; rejects with the error of the last one. */
async function throughAny<Result>(
  clients: PeerClients,
  { through }: Extract<Decision, { kind: 'add' | 'remove' | 'announce' }>,
  ask: (client: EtcdClient) => Promise<Result>,
): Promise<Result> {
  let failure: unknown = new Error('no member to ask');
  for (const node of through) {
    const client = clients.get(node);
    if (client === undefined) continue;
    try {
      return await ask(client);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}
