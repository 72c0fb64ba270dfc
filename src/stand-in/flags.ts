import { parseDuration } from './duration.js';

/** A flag of the real program: its default (null if none), and whether it may be given without a value. */
interface FlagFacts {
  readonly value: string | null;
  readonly boolean?: true;
}

export type FlagTable = Readonly<Record<string, FlagFacts>>;

const text = (value: string | null = null): FlagFacts => ({ value });
const boolean = (value: boolean): FlagFacts => ({ value: String(value), boolean: true });
const unset = (...names: readonly string[]): FlagTable =>
  Object.fromEntries(names.map((name) => [name, text()]));

const sharedFlags: FlagTable = {
  ...unset(
    'acls',
    'advertise_ip',
    'advertise_port',
    'external_log_file',
    'firewall_rules',
    'hooks',
    'hostname',
  ),
  ...unset('ip', 'ip_discovery_command', 'log_dir', 'modules', 'modules_dir', 'master_detector', 'work_dir'),
  authenticate_http_readonly: boolean(false),
  authenticate_http_readwrite: boolean(false),
  help: boolean(false),
  hostname_lookup: boolean(true),
  initialize_driver_logging: boolean(true),
  logbufsecs: text('0'),
  logging_level: text('INFO'),
  quiet: boolean(false),
  version: boolean(false),
};

/** All flags of mesos-master 1.3.2 with their defaults. */
export const masterFlags: FlagTable = {
  ...sharedFlags,
  ...unset('agent_removal_rate_limit', 'cluster', 'credentials', 'fair_sharing_excluded_resource_names'),
  ...unset('http_framework_authenticators', 'master_contender', 'offer_timeout', 'quorum', 'rate_limits'),
  ...unset('roles', 'weights', 'whitelist', 'zk'),
  agent_ping_timeout: text('15secs'),
  agent_reregister_timeout: text('10mins'),
  allocation_interval: text('1secs'),
  allocator: text('HierarchicalDRF'),
  authenticate_agents: boolean(false),
  authenticate_frameworks: boolean(false),
  authenticate_http_frameworks: boolean(false),
  authenticators: text('crammd5'),
  authorizers: text('local'),
  framework_sorter: text('drf'),
  http_authenticators: text('basic'),
  log_auto_initialize: boolean(true),
  max_agent_ping_timeouts: text('5'),
  max_completed_frameworks: text('50'),
  max_completed_tasks_per_framework: text('1000'),
  max_unreachable_tasks_per_framework: text('1000'),
  port: text('5050'),
  recovery_agent_removal_limit: text('100%'),
  registry: text('replicated_log'),
  registry_fetch_timeout: text('1mins'),
  registry_gc_interval: text('15mins'),
  registry_max_agent_age: text('2weeks'),
  registry_max_agent_count: text('102400'),
  registry_store_timeout: text('20secs'),
  registry_strict: boolean(false),
  root_submissions: boolean(true),
  user_sorter: text('drf'),
  webui_dir: text(),
  zk_session_timeout: text('10secs'),
};

/** All flags of mesos-agent 1.3.2 with their defaults. */
export const agentFlags: FlagTable = {
  ...sharedFlags,
  ...unset('agent_subsystems', 'allowed_capabilities', 'allowed_devices', 'attributes', 'container_logger'),
  ...unset('cgroups_net_cls_primary_handle', 'cgroups_net_cls_secondary_handles', 'credential'),
  ...unset('default_container_info', 'docker_config', 'docker_mesos_image', 'executor_environment_variables'),
  ...unset('executor_reregistration_retry_interval', 'http_authenticators', 'http_credentials'),
  ...unset('image_providers', 'image_provisioner_backend', 'master', 'network_cni_config_dir'),
  ...unset('network_cni_plugins_dir', 'nvidia_gpu_devices', 'perf_events', 'qos_controller'),
  ...unset('resource_estimator', 'resources', 'launcher_dir'),
  appc_simple_discovery_uri_prefix: text('http://'),
  appc_store_dir: text('/tmp/mesos/store/appc'),
  authenticatee: text('crammd5'),
  authentication_backoff_factor: text('1secs'),
  authorizer: text('local'),
  cgroups_cpu_enable_pids_and_tids_count: boolean(false),
  cgroups_enable_cfs: boolean(false),
  cgroups_hierarchy: text('/sys/fs/cgroup'),
  cgroups_limit_swap: boolean(false),
  cgroups_root: text('mesos'),
  container_disk_watch_interval: text('15secs'),
  containerizers: text('mesos'),
  default_role: text('*'),
  disk_watch_interval: text('1mins'),
  docker: text('docker'),
  docker_kill_orphans: boolean(true),
  docker_registry: text('https://registry-1.docker.io'),
  docker_remove_delay: text('6hrs'),
  docker_socket: text('/var/run/docker.sock'),
  docker_stop_timeout: text('0ns'),
  docker_store_dir: text('/tmp/mesos/store/docker'),
  docker_volume_checkpoint_dir: text('/var/run/mesos/isolators/docker/volume'),
  enforce_container_disk_quota: boolean(false),
  executor_registration_timeout: text('1mins'),
  executor_reregistration_timeout: text('2secs'),
  executor_shutdown_grace_period: text('5secs'),
  fetcher_cache_dir: text('/tmp/mesos/fetch'),
  fetcher_cache_size: text('2GB'),
  frameworks_home: text(''),
  gc_delay: text('1weeks'),
  gc_disk_headroom: text('0.1'),
  hadoop_home: text(''),
  http_command_executor: boolean(false),
  http_heartbeat_interval: text('30secs'),
  isolation: text('posix/cpu,posix/mem'),
  launcher: text('posix'),
  max_completed_executors_per_framework: text('150'),
  oversubscribed_resources_interval: text('15secs'),
  perf_duration: text('10secs'),
  perf_interval: text('1mins'),
  port: text('5051'),
  qos_correction_interval_min: text('0ns'),
  recover: text('reconnect'),
  recovery_timeout: text('15mins'),
  registration_backoff_factor: text('1secs'),
  revocable_cpu_low_priority: boolean(true),
  runtime_dir: text('/var/run/mesos'),
  sandbox_directory: text('/mnt/mesos/sandbox'),
  strict: boolean(true),
  switch_user: boolean(true),
  systemd_enable_support: boolean(true),
  systemd_runtime_directory: text('/run/systemd/system'),
};

/** Deprecated names that Mesos 1.3.2 accepts on the command line and in the environment. */
export const flagAliases: Readonly<Record<string, string>> = {
  authenticate: 'authenticate_frameworks',
  authenticate_http: 'authenticate_http_readwrite',
  authenticate_slaves: 'authenticate_agents',
  max_slave_ping_timeouts: 'max_agent_ping_timeouts',
  recovery_slave_removal_limit: 'recovery_agent_removal_limit',
  slave_ping_timeout: 'agent_ping_timeout',
  slave_removal_rate_limit: 'agent_removal_rate_limit',
  slave_reregister_timeout: 'agent_reregister_timeout',
  slave_subsystems: 'agent_subsystems',
};

/** A command line that the real program also rejects, with its message. */
export class FlagError extends Error {}

/** The flags of one program run, given and default. */
export class Flags {
  constructor(readonly values: Readonly<Record<string, string>>) {}

  optional(name: string): string | undefined {
    return this.values[name];
  }

  required(name: string): string {
    const value = this.values[name];
    if (value === undefined) throw new FlagError(`Flag '${name}' is required, but it was not provided`);
    return value;
  }

  integer(name: string): number {
    const value = Number(this.required(name));
    if (!Number.isInteger(value)) throw new FlagError(`Failed to load flag '${name}': not an integer`);
    return value;
  }

  durationMs(name: string): number {
    const value = parseDuration(this.required(name));
    if (value === undefined) throw new FlagError(`Failed to load flag '${name}': Invalid duration`);
    return value;
  }

  isTrue(name: string): boolean {
    return this.values[name] === 'true';
  }
}

/**
 * Reads `--name=value`, `--name value`, `--name` and `--no-name` of boolean flags, and `MESOS_NAME` from the
 * environment. The command line wins. Unknown variables are ignored, unknown flags rejected.
 *
 * @throws FlagError
 */
export function parseFlags(
  table: FlagTable,
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Flags {
  const values: Record<string, string> = {};
  for (const [name, facts] of Object.entries(table)) {
    if (facts.value !== null) values[name] = facts.value;
  }
  for (const name of [...Object.keys(flagAliases), ...Object.keys(table)]) {
    const value = environment[`MESOS_${name.toUpperCase()}`];
    const flag = flagAliases[name] ?? name;
    if (value !== undefined && flag in table) values[flag] = value;
  }
  for (let index = 0; index < args.length; index += 1) {
    const argument = args[index] ?? '';
    if (!argument.startsWith('--')) continue;
    const equals = argument.indexOf('=');
    const given = equals < 0 ? argument.slice(2) : argument.slice(2, equals);
    const negated = given.startsWith('no-') && !(given in table);
    const written = (negated ? given.slice(3) : given).replaceAll('-', '_');
    const name = flagAliases[written] ?? written;
    const facts = table[name];
    if (facts === undefined) throw new FlagError(`Failed to load unknown flag '${given}'`);
    if (negated) {
      if (!facts.boolean) throw new FlagError(`Failed to load non-boolean flag '${name}' via '--${given}'`);
      if (equals >= 0)
        throw new FlagError(`Failed to load boolean flag '${name}' via '--${given}' with a value`);
      values[name] = 'false';
    } else if (equals >= 0) {
      values[name] = argument.slice(equals + 1);
    } else if (facts.boolean) {
      values[name] = 'true';
    } else {
      const next = args[index + 1];
      if (next === undefined || next.startsWith('--')) {
        throw new FlagError(`Failed to load non-boolean flag '${name}': Missing value`);
      }
      values[name] = next;
      index += 1;
    }
  }
  return new Flags(values);
}

/** The text of `--help`. */
export function usage(program: string, table: FlagTable): string {
  const lines = Object.entries(table)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, { value, boolean: isBoolean }]) => {
      const names = [name, ...Object.keys(flagAliases).filter((alias) => flagAliases[alias] === name)];
      const flag = names.map((each) => (isBoolean ? `--[no-]${each}` : `--${each}=VALUE`)).join(', ');
      return `  ${flag.padEnd(50)}${value === null ? '' : `(default: ${value})`}`.trimEnd();
    });
  return [`Usage: ${program} [options]`, '', ...lines, ''].join('\n');
}
