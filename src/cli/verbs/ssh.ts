import { exitCodes } from '../../errors/error.js';
import type { HostSpec } from '../../cluster/spec.js';
import { quote } from '../../ssh/shell.js';
import { defineCommand } from '../command.js';
import { knownHostsDir, withHosts } from '../hosts.js';
import { fileOption, openSpec } from '../spec-file.js';

export const sshCommand = defineCommand({
  name: 'ssh',
  summary: 'open a shell, or run a command, on a host or a node',
  description:
    'Runs `ssh` with the key, the known host keys and the jump host of the spec. A node is reached through the ' +
    'host that it runs on. A command is run as `ssh` runs it: its words are joined by spaces and read by the ' +
    'shell there, and its exit code is that of `perijove ssh`.',
  args: {
    target: { description: 'a host (h1) or a node (node3)' },
    command: { description: 'run this in place of a shell, after --', optional: true, variadic: true },
  },
  options: { file: fileOption },
  // It belongs to what runs there.
  onInterrupt: 'orderly',
  examples: [
    ['perijove ssh h1', 'a shell on a host'],
    ['perijove ssh node3 -- hostname', 'run one command on a node'],
  ],
  async run(context, { args, options }) {
    const { spec } = await openSpec(context, options.file);
    const [{ parseTarget, locateNode }, { runSsh, sshArguments, writeSpecKeys }] = await Promise.all([
      import('../targets.js'),
      import('../ssh-command.js'),
    ]);
    const target = parseTarget(spec, args.target);
    const given = args.command.length === 0 ? undefined : args.command.join(' ');
    // A shell can also read its commands from a pipe.
    const tty = given === undefined && context.stdin.isTTY === true;
    const run = async (host: HostSpec, command: string | undefined) => {
      const withCommand = command === undefined ? {} : { command };
      const pins = knownHostsDir(context.env);
      await writeSpecKeys(host, pins);
      const words = sshArguments(host, pins, { tty, ...withCommand });
      const code = await runSsh(host, { args: words, signal: context.signal });
      return given === undefined ? exitCodes.done : code;
    };
    if (target.kind === 'host') return run(target.host, given);
    const { host, layout } = await withHosts(context, (pool) => locateNode(pool, spec, target.node));
    const words = [quote(`${layout.bin}/ssh`), tty ? '-t' : '-T', target.node];
    const command = (given === undefined ? words : [...words, quote(given)]).join(' ');
    return run(host, host.become === 'sudo' ? `sudo -n ${command}` : command);
  },
});
