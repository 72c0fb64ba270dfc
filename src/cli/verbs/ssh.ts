import { exitCodes } from '../../errors/error.js';
import type { HostSpec } from '../../cluster/spec.js';
import { quote } from '../../ssh/shell.js';
import { defineCommand } from '../command.js';
import { knownHostsDir, withHosts } from '../hosts.js';
import { fileOption, openSpec } from '../spec-file.js';

export const sshCommand = defineCommand({
  name: 'ssh',
  summary: 'open a shell on a host or a node',
  description:
    'Runs `ssh` as Perijove itself would: with the key, the known host keys and the jump host of the ' +
    'spec. A node is reached through the host that it runs on.',
  args: { target: { description: 'a host (h1) or a node (node3)' } },
  options: { file: fileOption },
  async run(context, { args, options }) {
    const { spec } = await openSpec(context, options.file);
    const [{ parseTarget, locateNode }, { runSsh, sshArguments }] = await Promise.all([
      import('../targets.js'),
      import('../ssh-command.js'),
    ]);
    const target = parseTarget(spec, args.target);
    // Commands may come from a pipe, too.
    const tty = context.stdin.isTTY === true;
    const open = async (host: HostSpec, command?: string) => {
      const withCommand = command === undefined ? {} : { command };
      const words = sshArguments(host, knownHostsDir(context.env), { tty, ...withCommand });
      await runSsh(host, { args: words, signal: context.signal });
      return exitCodes.done;
    };
    if (target.kind === 'host') return open(target.host);
    const { host, layout } = await withHosts(context, (pool) => locateNode(pool, spec, target.node));
    const command = `${quote(`${layout.bin}/ssh`)} ${tty ? '-t' : '-T'} ${target.node}`;
    return open(host, host.become === 'sudo' ? `sudo -n ${command}` : command);
  },
});
