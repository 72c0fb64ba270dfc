import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { hostname } from 'node:os';
import type { ZooKeeperClient } from '../zookeeper/client.js';
import { serveAgents } from './master/agent-links.js';
import { masterAuthentication } from './authentication.js';
import { Election, makeMasterInfo, MalformedMasterInfo } from './election.js';
import { FlagError, masterFlags, parseFlags, usage, type Flags } from './flags.js';
import { listen } from './http.js';
import { Log } from './log.js';
import type { MasterSettings } from './master/context.js';
import { Master } from './master/master.js';
import { handleMasterRequest } from './master/http.js';
import type { MasterProcess } from './master/process.js';
import { patiently } from './patiently.js';
import { copyTo, CorruptReplica, Replica, replicated } from './master/replica.js';
import { memoryRegistry, readRegistry, zookeeperRegistry, type Registry } from './master/registry.js';
import { parseZooKeeperUrl, type ZooKeeperUrl } from './zk-url.js';

const log = new Log();

async function main(): Promise<void> {
  const flags = parseFlags(masterFlags, process.argv.slice(2), process.env);
  if (flags.isTrue('version')) {
    process.stdout.write('mesos 1.3.2 (stand-in of Perijove)\n');
    return;
  }
  if (flags.isTrue('help')) {
    process.stdout.write(usage('mesos-master', masterFlags));
    return;
  }
  mkdirSync(flags.required('work_dir'), { recursive: true });
  const logDir = flags.optional('log_dir');
  if (logDir !== undefined) log.open(logDir, 'mesos-master');
  const replica = openReplica(flags.required('work_dir'));
  const zk = flags.optional('zk');
  const url = zk === undefined ? undefined : parseZooKeeperUrl(zk);
  if (url) flags.required('quorum');
  const authentication = masterAuthentication(flags);
  const ip = flags.optional('ip') ?? '0.0.0.0';
  const port = flags.integer('port');
  const info = makeMasterInfo(randomUUID(), flags.optional('hostname') ?? hostname(), ip, port);
  const self: MasterProcess = {
    info,
    flags,
    authentication,
    startedAt: Date.now(),
    electedAt: undefined,
    leader: undefined,
    contenders: [],
    master: undefined,
  };
  const server = await listen(ip, port, (request, response) =>
    handleMasterRequest(self, log, request, response),
  );
  serveAgents(server, log, () => self.master);
  log.warn('This is the stand-in of Perijove for mesos-master, not Apache Mesos');
  log.info(`Master ${info.id} (${info.hostname}) started on ${ip}:${port}`);
  log.info(`Flags at startup: ${flagsText(flags)}`);
  if (url) await contend(self, url, replica);
  else await lead(self, replicated(memoryRegistry(), replica, log));
}

function openReplica(workDir: string): Replica {
  try {
    const replica = new Replica(workDir);
    log.info(`Replica recovered with log positions 0 -> ${replica.position} with 0 holes and 0 unlearned`);
    return replica;
  } catch (error) {
    if (!(error instanceof CorruptReplica)) throw error;
    log.plain(`Failed to recover the log: ${error.message}`);
    process.exit(1);
  }
}

async function contend(self: MasterProcess, url: ZooKeeperUrl, replica: Replica): Promise<void> {
  const election = new Election({
    url,
    sessionTimeoutMs: self.flags.durationMs('zk_session_timeout'),
    candidate: self.info,
    log,
  });
  election.on('leader', (leader, session) => {
    self.leader = leader;
    if (leader && session && leader.id !== self.info.id) void follow(session, url, replica);
    log.info(`The newly elected leader is ${leader ? `${leader.pid} with id ${leader.id}` : 'None'}`);
  });
  election.on('contenders', (contenders) => (self.contenders = contenders));
  election.on('lost', () => {
    log.plain('Lost leadership... committing suicide!');
    process.exit(1);
  });
  election.on('elected', (session) => {
    self.electedAt = Date.now();
    log.info('Elected as the leading master!');
    recover(self, session, url, replica).catch((error: unknown) => {
      log.error(`Recovery failed: Failed to recover registrar: ${String(error)}`);
      process.abort();
    });
  });
  await election.run();
}

/** A follower's replica catches up with each new leader. */
async function follow(session: ZooKeeperClient, url: ZooKeeperUrl, replica: Replica): Promise<void> {
  try {
    const content = await readRegistry(session, url.path);
    if (content) copyTo(replica, content, log);
  } catch (error) {
    log.warn(`Replica could not catch up: ${String(error)}`);
  }
}

/** Waits for a quorum of masters, as Mesos' replicated log does, and reads the registry. */
async function recover(
  self: MasterProcess,
  session: ZooKeeperClient,
  url: ZooKeeperUrl,
  replica: Replica,
): Promise<void> {
  log.info('Recovering from registrar');
  const { flags } = self;
  const quorum = flags.integer('quorum');
  const deadline = setTimeout(() => {
    log.error(
      `Recovery failed: Failed to recover registrar: Failed to perform fetch within ${flags.required('registry_fetch_timeout')}`,
    );
    process.abort();
  }, flags.durationMs('registry_fetch_timeout'));
  for (;;) {
    let wake = (): void => undefined;
    const changed = new Promise<void>((resolve) => (wake = resolve));
    const replicas = await patiently(session, () => session.getChildren(`${url.path}/log_replicas`, wake));
    if (replicas.length >= quorum) break;
    log.info(`${replicas.length} of ${quorum} masters that the quorum needs are here`);
    await changed;
  }
  await lead(self, replicated(zookeeperRegistry(session, url.path), replica, log));
  clearTimeout(deadline);
}

async function lead(self: MasterProcess, registry: Registry): Promise<void> {
  const content = await registry.recover();
  self.leader = self.info;
  self.electedAt ??= Date.now();
  const master = new Master(self.info, settingsOf(self.flags), registry, log);
  master.start(content);
  self.master = master;
  log.info('Successfully recovered registrar');
}

function settingsOf(flags: Flags): MasterSettings {
  return {
    agentPingTimeoutMs: flags.durationMs('agent_ping_timeout'),
    maxAgentPingTimeouts: flags.integer('max_agent_ping_timeouts'),
    agentReregisterTimeoutMs: flags.durationMs('agent_reregister_timeout'),
    allocationIntervalMs: flags.durationMs('allocation_interval'),
    ...(flags.optional('offer_timeout') !== undefined && {
      offerTimeoutMs: flags.durationMs('offer_timeout'),
    }),
    maxCompletedFrameworks: flags.integer('max_completed_frameworks'),
    maxCompletedTasks: flags.integer('max_completed_tasks_per_framework'),
  };
}

function flagsText(flags: Flags): string {
  return Object.entries(flags.values)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, value]) => `--${name}="${name === 'zk' ? value.replace(/\/\/.*@/, '//') : value}"`)
    .join(' ');
}

main().catch((error: unknown) => {
  if (error instanceof FlagError) {
    process.stderr.write(`${error.message}\n\n${usage('mesos-master', masterFlags)}`);
  } else if (error instanceof MalformedMasterInfo) {
    log.error(`Failed to detect the leading master: ${error.message}`);
  } else {
    log.error(`Failed to start: ${String(error)}`);
  }
  process.exit(1);
});
