import { exitCodes, PerijoveError } from '../../errors/error.js';
import type { ClusterSpec, HostSpec } from '../../cluster/spec.js';
import type { SshPool } from '../../ssh/connection.js';
import { quote } from '../../ssh/shell.js';
import { defineCommand } from '../command.js';
import { knownHostsDir, withHosts } from '../hosts.js';
import { printJson } from '../io.js';
import { fileOption, openSpec } from '../spec-file.js';
import type { Target } from '../targets.js';

/** The default log of a node: that of the program that runs its services. */
const nodeDefault = 'control';

export const logsCommand = defineCommand({
  name: 'logs',
  summary: 'print the log of a service or a node',
  description:
    'A host has the services zookeeper, mesos-master, mesos-agent, proxy, network and storage; a node has etcd, ' +
    'sshd, jupyter and control. A node is searched for on all hosts. If it no longer runs, its last log is ' +
    'printed.',
  args: {
    target: { description: 'host/service (h1/zookeeper), node/service (node3/jupyter) or a node (node3)' },
  },
  options: {
    file: { ...fileOption, flags: '--file <file>' },
    lines: { flags: '-n, --lines <count>', description: 'number of lines (default: 100)' },
    follow: { flags: '-f, --follow', description: 'follow the log until Ctrl-C' },
  },
  examples: [
    ['perijove logs h1/zookeeper', 'the last lines of a server'],
    ['perijove logs node3/jupyter -f', 'follow a Jupyter'],
  ],
  async run(context, { args, options }) {
    const { spec } = await openSpec(context, options.file);
    const lines = countOf(options.lines ?? '100');
    const { parseTarget } = await import('../targets.js');
    const target = parseTarget(spec, args.target);
    return withHosts(context, async (pool) => {
      const { host, print, follow } = await logOf(pool, spec, target, lines);
      if (options.follow) {
        const { runSsh, sshArguments, writeSpecKeys } = await import('../ssh-command.js');
        const command = host.become === 'sudo' ? `sudo -n sh -c ${quote(follow)}` : follow;
        const pins = knownHostsDir(context.env);
        await writeSpecKeys(host, pins);
        const words = sshArguments(host, pins, { tty: false, command });
        await runSsh(host, {
          args: words,
          signal: context.signal,
          onOutput: (text) => context.stdout.write(text),
        });
        return exitCodes.done;
      }
      const connection = await pool.get(host);
      const text = await connection.run(print);
      if (context.json) printJson(context, { target: args.target, host: host.name, lines: linesOf(text) });
      else context.stdout.write(text);
      return exitCodes.done;
    });
  },
});

/** @throws PerijoveError USAGE */
function countOf(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new PerijoveError('USAGE', `--lines must be a number, not \`${text}\``);
  return Number(text);
}

function linesOf(text: string): string[] {
  return text.split('\n').slice(0, text.endsWith('\n') ? -1 : undefined);
}

interface Log {
  readonly host: HostSpec;
  /** Shell command that prints the newest lines. */
  readonly print: string;
  /** Shell command that prints them and follows the log. */
  readonly follow: string;
}

/** @throws PerijoveError UNKNOWN_TARGET for a host without a service; NODE_NOWHERE, SSH_* */
async function logOf(pool: SshPool, spec: ClusterSpec, target: Target, lines: number): Promise<Log> {
  if (target.kind === 'node') {
    const { locateNode } = await import('../targets.js');
    const { host, layout } = await locateNode(pool, spec, target.node);
    const log = `${layout.log}/${target.service ?? nodeDefault}`;
    return { host, ...svlogdLog(log, lines) };
  }
  const { host, service } = target;
  const { hostServiceNames } = await import('../targets.js');
  if (service === undefined) {
    throw new PerijoveError('UNKNOWN_TARGET', `${host.name} is a host: one of its services is needed`, {
      remedy: `There are ${hostServiceNames(spec, host)
        .map((name) => `${host.name}/${name}`)
        .join(', ')}.`,
    });
  }
  const [{ observeInit }, { hostPaths }] = await Promise.all([
    import('../../hosts/services.js'),
    import('../../hosts/paths.js'),
  ]);
  const init = await observeInit(await pool.get(host));
  if (init === 'runit') return { host, ...svlogdLog(`${hostPaths(host).log}/${service}`, lines) };
  const journal = `journalctl --no-pager --output=short-iso --lines=${lines} --unit=perijove-${spec.name}-${service}.service`;
  return { host, print: journal, follow: `exec ${journal} --follow` };
}

/** svlogd's current file, preceded by the last rotated one if more lines are needed. */
function svlogdLog(directory: string, lines: number): Pick<Log, 'print' | 'follow'> {
  const log = quote(directory);
  return {
    print: `cd ${log} 2>/dev/null || exit 0; old=$(ls @*.s 2>/dev/null | sort | tail -n 1); cat $old current 2>/dev/null | tail -n ${lines}`,
    follow: `exec tail -n ${lines} -F ${log}/current`,
  };
}
