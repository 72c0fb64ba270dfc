import { existsSync } from 'node:fs';
import { cpus, hostname, totalmem } from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { agentAuthentication } from './authentication.js';
import { Agent, type AgentSettings } from './agent/agent.js';
import { handleAgentRequest } from './agent/http.js';
import { AgentMeta } from './agent/meta.js';
import { parseAttributes } from './attributes.js';
import { Election, makeMasterInfo, MalformedMasterInfo } from './election.js';
import { agentFlags, FlagError, parseFlags, usage, type Flags } from './flags.js';
import { listen } from './http.js';
import { Log } from './log.js';
import { parseResources, type Resources } from './resources.js';
import { parseZooKeeperUrl } from './zk-url.js';

const log = new Log();
const environmentSchema = z.record(z.string(), z.string());

async function main(): Promise<void> {
  const flags = parseFlags(agentFlags, process.argv.slice(2), process.env);
  if (flags.isTrue('version')) {
    process.stdout.write('mesos 1.3.2 (stand-in of Perijove)\n');
    return;
  }
  if (flags.isTrue('help')) {
    process.stdout.write(usage('mesos-agent', agentFlags));
    return;
  }
  const logDir = flags.optional('log_dir');
  if (logDir !== undefined) log.open(logDir, 'mesos-agent');
  const master = flags.optional('master');
  if (master === undefined) throw new FlagError('Missing required option `--master`');
  const settings = settingsOf(flags);
  const agent = new Agent(settings, new AgentMeta(flags.required('work_dir')), log);
  const self = { agent, flags, authentication: agentAuthentication(flags), startedAt: Date.now() };
  // Bind the port first: two agents must never share a directory.
  await listen(settings.ip, settings.port, (request, response) =>
    handleAgentRequest(self, request, response),
  );
  log.warn('This is the stand-in of Perijove for mesos-agent, not Apache Mesos');
  log.info(`Mesos agent started on (1)@${settings.ip}:${settings.port}`);
  await agent.recover();
  if (!/^(zk|file):/.test(master)) {
    const [host = '', port = '5050'] = master.split(':');
    agent.follow(makeMasterInfo('', host, host, Number(port)));
    return;
  }
  const election = new Election({ url: parseZooKeeperUrl(master), sessionTimeoutMs: 10_000, log });
  election.on('leader', (leader) => agent.follow(leader));
  await election.run();
}

function settingsOf(flags: Flags): AgentSettings {
  const resources = flags.optional('resources');
  const parsed = resources === undefined ? undefined : parseResources(resources);
  if (resources !== undefined && !parsed) throw new FlagError(`Failed to parse the flag 'resources'`);
  const attributes = parseAttributes(flags.optional('attributes') ?? '');
  if (!attributes) throw new FlagError(`Failed to parse the flag 'attributes'`);
  return {
    hostname: flags.optional('hostname') ?? hostname(),
    ip: flags.optional('ip') ?? '0.0.0.0',
    port: flags.integer('port'),
    resources: withDefaults(parsed),
    attributes,
    executor: executorIn(flags.optional('launcher_dir')),
    executorEnvironment: executorEnvironment(flags),
    shutdownGraceMs: flags.durationMs('executor_shutdown_grace_period'),
    registrationBackoffMs: flags.durationMs('registration_backoff_factor'),
    containerizers: flags.required('containerizers').split(','),
    docker: {
      program: flags.required('docker'),
      socket: flags.required('docker_socket'),
      mappedDirectory: flags.required('sandbox_directory'),
      killOrphans: flags.isTrue('docker_kill_orphans'),
    },
  };
}

/** The executor in `--launcher_dir`, else the one beside this program. */
function executorIn(launcherDir: string | undefined): string {
  const given = path.join(launcherDir ?? import.meta.dirname, 'mesos-executor.mjs');
  return existsSync(given) ? given : path.join(import.meta.dirname, 'mesos-executor.mjs');
}

function executorEnvironment(flags: Flags): Readonly<Record<string, string>> {
  try {
    return environmentSchema.parse(JSON.parse(flags.optional('executor_environment_variables') ?? '{}'));
  } catch {
    throw new FlagError(`Failed to load flag 'executor_environment_variables': not an object of texts`);
  }
}

/** Detects resources without a flag; like Mesos, it reserves 1 GB of memory or half of it. */
function withDefaults(given: Resources | undefined): Resources {
  const megabytes = Math.floor(totalmem() / 1024 / 1024);
  const mem = megabytes > 2048 ? megabytes - 1024 : Math.floor(megabytes / 2);
  return {
    scalars: { cpus: cpus().length, mem, disk: 10_240, ...given?.scalars },
    ranges: { ports: [{ begin: 31_000, end: 32_000 }], ...given?.ranges },
  };
}

main().catch((error: unknown) => {
  if (error instanceof FlagError) {
    process.stderr.write(`${error.message}\n\n${usage('mesos-agent', agentFlags)}`);
  } else if (error instanceof MalformedMasterInfo) {
    log.error(`Failed to detect a master: ${error.message}`);
  } else {
    log.error(`Failed to start: ${String(error)}`);
  }
  process.exit(1);
});
