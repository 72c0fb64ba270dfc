import { execFile, execFileSync } from 'node:child_process';
import path from 'node:path';
import { ownerRules, ownerScript } from './owner.js';
import { addFirewall, firewallPrograms, parseSnapshot, snapshotScript, type Snapshot } from './snapshot.js';

const root = path.resolve(import.meta.dirname, '../..');

type Command = readonly [program: string, ...args: string[]];

/** The Compose of this machine, or why servers in containers cannot run. */
export function findCompose(): { readonly command: Command } | { readonly missing: string } {
  const works = ([program, ...args]: Command) => {
    try {
      execFileSync(program, args, { stdio: 'ignore', timeout: 30_000 });
      return true;
    } catch {
      return false;
    }
  };
  if (process.getuid?.() !== 0) return { missing: 'it needs root' };
  if (!works(['docker', 'version'])) return { missing: 'no Docker server answers' };
  const commands: readonly Command[] = [['docker', 'compose'], ['docker-compose']];
  const command = commands.find((each) => works([...each, 'version']));
  return command ? { command } : { missing: 'there is no Compose' };
}

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** From images/perijove/start. */
const workersKey = '/var/lib/perijove/ssh/id_ed25519';

/** Blackhole routes: packets to unknown addresses must not leave this machine. */
const routes = ['172.16.6.0/24', '192.168.0.0/24'];
const lowestMetric = 'metric 4000000';

export interface ComposeOptions {
  readonly project: string;
  readonly uiPort: number;
  /** From images/host/Dockerfile. */
  readonly hostTarget: string;
}

/** The servers and workers of docker-compose.yml in a separate project. Nothing runs until `up`. */
export class ComposeProject {
  private readonly addedRoutes: string[] = [];
  /** By host: the boot at which its owner's firewall rules were added. */
  private readonly rulesOf = new Map<string, string>();
  /** Docker's IDs of the containers, by service. */
  private readonly containers = new Map<string, Promise<string>>();

  constructor(
    private readonly compose: Command,
    private readonly options: ComposeOptions,
  ) {}

  private exec(command: Command): Promise<Run> {
    const [program, ...args] = command;
    const env = {
      ...process.env,
      PERIJOVE_TEMPORAL_UI_PORT: String(this.options.uiPort),
      PERIJOVE_HOST_TARGET: this.options.hostTarget,
    };
    return new Promise((resolve) => {
      execFile(program, args, { cwd: root, env, maxBuffer: 64 * 2 ** 20 }, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
        resolve({ code, stdout, stderr });
      });
    });
  }

  protected async run(command: Command): Promise<string> {
    const { code, stdout, stderr } = await this.exec(command);
    if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}:\n${stdout}\n${stderr}`);
    return stdout;
  }

  protected composed(...args: readonly string[]): Command {
    return [...this.compose, '--project-name', this.options.project, ...args];
  }

  /** Builds the images and starts everything. */
  async up(): Promise<void> {
    for (const route of routes) {
      const found = await this.run(['ip', 'route', 'show', 'type', 'unreachable', 'exact', route]);
      if (found.trim() !== '') continue;
      await this.run(['ip', 'route', 'add', 'unreachable', route, ...lowestMetric.split(' ')]);
      this.addedRoutes.push(route);
    }
    await this.run([path.join(root, 'images/prepare')]);
    await this.run(this.composed('build'));
    await this.run(this.composed('up', '--detach'));
    this.containers.clear();
  }

  /** Removes everything but the images. */
  async down(): Promise<void> {
    const removed = await this.exec(this.composed('down', '--volumes', '--remove-orphans', '--timeout', '1'));
    for (const route of this.addedRoutes)
      await this.exec(['ip', 'route', 'del', 'unreachable', route, ...lowestMetric.split(' ')]);
    if (removed.code !== 0) throw new Error(removed.stderr);
  }

  /** Runs the command line in the first worker. */
  async perijove(...args: readonly string[]): Promise<string> {
    return this.run(await this.inside('worker-1', 'perijove', ...args));
  }

  /** Like `perijove`, but may fail. */
  async try(...args: readonly string[]): Promise<Run> {
    return this.exec(await this.inside('worker-1', 'perijove', ...args));
  }

  async json<T>(...args: readonly string[]): Promise<T> {
    return JSON.parse(await this.perijove(...args, '--json')) as T;
  }

  /** Output of a shell on a host, without SSH. */
  async onHost(host: string, script: string): Promise<string> {
    return this.run(await this.inside(host, 'sh', '-c', script));
  }

  /** Cuts the power. */
  crash(host: string): Promise<string> {
    return this.run(this.composed('kill', host));
  }

  boot(host: string): Promise<string> {
    return this.run(this.composed('start', host));
  }

  async logs(): Promise<string> {
    return (await this.exec(this.composed('logs', '--no-color', '--tail=60', 'worker-1', 'worker-2'))).stdout;
  }

  /** The address of a service that has one network. */
  async addressOf(service: string): Promise<string> {
    const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}';
    return (await this.run(['docker', 'inspect', '--format', format, await this.container(service)])).trim();
  }

  /** Docker's ID of a service's container. */
  protected container(service: string): Promise<string> {
    const known = this.containers.get(service);
    if (known !== undefined) return known;
    const found = this.run(this.composed('ps', '--quiet', service)).then((id) => id.trim());
    this.containers.set(service, found);
    return found;
  }

  /** A command in a container. By Docker itself: Compose 1 computes for a second before each one. */
  protected async inside(service: string, ...command: Command): Promise<Command> {
    return ['docker', 'exec', await this.container(service), ...command];
  }

  /** Boot time of the server. */
  private async bootedAt(host: string): Promise<string> {
    return this.run(['docker', 'inspect', '--format', '{{.State.StartedAt}}', await this.container(host)]);
  }

  /** Starts endless loops on a server, which end with it. */
  async loop(host: string, count: number): Promise<void> {
    const container = await this.container(host);
    for (let started = 0; started < count; started += 1)
      await this.run(['docker', 'exec', '--detach', container, 'sh', '-c', 'while :; do :; done']);
  }

  /** Resolves when systemd has no more jobs. */
  private async booted(host: string): Promise<void> {
    // `degraded`, with exit code 1, means that a unit failed.
    await this.onHost(
      host,
      'systemctl is-system-running --wait || [ "$(systemctl is-system-running)" = degraded ]',
    );
  }

  /** Runs a program of this machine in a server's network namespace. */
  private async inNetworkOf(host: string, program: string, ...args: readonly string[]): Promise<string> {
    const pid = await this.run([
      'docker',
      'inspect',
      '--format',
      '{{.State.Pid}}',
      await this.container(host),
    ]);
    return this.run(['nsenter', '--target', pid.trim(), '--net', program, ...args]);
  }

  /** Waits until a new server has booted, and gives it its owner's content. */
  async settle(host: string): Promise<void> {
    await this.booted(host);
    await this.onHost(host, ownerScript);
    await this.addRules(host);
  }

  /** As the owner's own program does at each boot. */
  private async addRules(host: string): Promise<void> {
    for (const rule of ownerRules) await this.inNetworkOf(host, 'iptables', ...rule);
    this.rulesOf.set(host, await this.bootedAt(host));
  }

  async snapshot(host: string): Promise<Snapshot> {
    if (this.rulesOf.get(host) !== (await this.bootedAt(host))) await this.addRules(host);
    const found = parseSnapshot(await this.onHost(host, snapshotScript));
    for (const program of firewallPrograms)
      addFirewall(found, program, await this.inNetworkOf(host, program));
    return found;
  }

  /** Logs in from a worker over a new connection. */
  async login(address: string): Promise<boolean> {
    const options = [
      'BatchMode=yes',
      'ConnectTimeout=20',
      'StrictHostKeyChecking=no',
      'UserKnownHostsFile=/dev/null',
    ];
    const ssh = ['-i', workersKey, ...options.flatMap((option) => ['-o', option]), `root@${address}`, 'true'];
    return (await this.exec(await this.inside('worker-1', 'ssh', ...ssh))).code === 0;
  }
}
