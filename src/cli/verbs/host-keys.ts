import { exitCodes, PerijoveError } from '../../errors/error.js';
import { abortable } from '../../net/abortable.js';
import { placeOfTarget } from '../../cluster/host-keys.js';
import type { ClusterSpec, SshTarget } from '../../cluster/spec.js';
import { defineCommand, type CommandContext } from '../command.js';
import { knownHostsDir } from '../hosts.js';
import { printJson, printText } from '../io.js';
import { reportOf, printReport } from '../report.js';
import { fileOption, openSpec } from '../spec-file.js';
import { unknownTarget } from '../targets.js';

export const hostKeysCommand = defineCommand({
  name: 'host-keys',
  summary: 'print the SSH keys of the hosts, as the spec takes them',
  description:
    'Asks every host, or those named, for its SSH key, and prints the keys as `hostKeys` of the spec, with their ' +
    'fingerprints. Compare each with what `ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub` prints on the console ' +
    'of the host, and put it into the spec: all workers and command lines then trust only these keys. It logs in to ' +
    'jump hosts only, and pins nothing for the others.',
  args: { host: { description: 'names of hosts; all without one', optional: true, variadic: true } },
  options: { file: fileOption },
  examples: [
    ['perijove host-keys', 'the keys of all hosts and jump hosts'],
    ['perijove host-keys h2', 'the new key of a host that was reinstalled'],
  ],
  async run(context, { args, options }) {
    const { spec } = await openSpec(context, options.file);
    const asked = args.host ?? [];
    const names = spec.hosts.map(({ name }) => name);
    for (const name of asked) {
      if (!names.includes(name)) throw unknownTarget(`${spec.name} has no host \`${name}\``, name, names);
    }
    const seen = await Promise.all(
      presentersOf(spec, asked).map((presenter) => abortable(look(context, presenter), context.signal)),
    );
    const found = seen.flatMap((each) => ('error' in each ? [] : [each]));
    const errors = seen.flatMap((each) => ('error' in each ? [each.error] : []));
    const reports = errors.map(reportOf);
    if (context.json) {
      const failed = reports.map(({ code, message }) => ({ code, message }));
      printJson(context, { cluster: spec.name, keys: found, errors: failed });
    } else {
      printText(context, textOf(found));
      for (const report of reports) printReport(context, report);
    }
    return reports[0]?.exitCode ?? exitCodes.done;
  },
});

interface Presenter {
  readonly host: string;
  readonly isJumpHost: boolean;
  readonly target: SshTarget;
  readonly jump?: SshTarget;
}

/** The hosts, and their jump hosts once each. */
function presentersOf({ hosts }: ClusterSpec, asked: readonly string[]): readonly Presenter[] {
  const chosen = asked.length === 0 ? hosts : hosts.filter(({ name }) => asked.includes(name));
  const jumps = new Map(
    chosen.flatMap(({ jump }) => (jump === undefined ? [] : [[placeOfTarget(jump), jump] as const])),
  );
  return [
    ...[...jumps].map(([host, target]) => ({ host, isJumpHost: true, target })),
    ...chosen.map(({ name, ssh, jump }) => ({
      ...{ host: name, isJumpHost: false, target: ssh },
      ...(jump && { jump }),
    })),
  ];
}

interface PresentedKey {
  /** Name of the host; of a jump host, `address:port`. */
  readonly host: string;
  readonly isJumpHost: boolean;
  /** `TYPE BASE64` */
  readonly key: string;
  readonly fingerprint: string;
  /** Whether it is a key that this machine accepts, another one is, or none is known. */
  readonly is: 'known' | 'changed' | 'new';
}

async function look(
  { env }: Pick<CommandContext, 'env'>,
  { isJumpHost, ...presenter }: Presenter,
): Promise<PresentedKey | { readonly error: unknown }> {
  const [{ presentedKey }, { judgeHostKey }, { fingerprint, publicKeyLine }, { pino }] = await Promise.all([
    import('../../ssh/presented-key.js'),
    import('../../ssh/host-keys.js'),
    import('../../ssh/known-hosts.js'),
    import('pino'),
  ]);
  const pins = knownHostsDir(env);
  const { host, target } = presenter;
  try {
    const key = await presentedKey(presenter, {
      knownHostsDir: pins,
      logger: pino({ level: 'silent' }),
    });
    const verdict = await judgeHostKey(host, target, pins, key);
    const is = ({ accepted: 'known', refused: 'changed', new: 'new' } as const)[verdict];
    return { host, isJumpHost, key: publicKeyLine(key), fingerprint: fingerprint(key), is };
  } catch (error) {
    if (!(error instanceof PerijoveError)) throw error;
    return { error };
  }
}

const words = {
  known: 'the known key',
  changed: 'ANOTHER KEY THAN THE KNOWN ONE',
  new: 'not known yet',
} as const;

/** YAML that can be pasted into a spec. */
function textOf(keys: readonly PresentedKey[]): string {
  const lines = keys.flatMap(({ host, isJumpHost, key, fingerprint, is }) => [
    `  # ${isJumpHost ? 'jump host ' : ''}${host}: ${fingerprint}, ${words[is]}`,
    ...(isJumpHost
      ? [`  #   jump: { hostKeys: [${key}] }`]
      : [`  - name: ${host}`, `    hostKeys: [${key}]`]),
  ]);
  return lines.length === 0 ? '' : `${['hosts:', ...lines].join('\n')}\n`;
}
