/** A worker as a service of systemd, which starts it again however it ends. */

export interface WorkerUnit {
  /** Absolute path of the program and its arguments. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Whose service it is: of the system, which runs it as that user, or of the manager of one user. */
  readonly user?: string;
}

export const unitName = 'perijove-worker.service';

/** The first line; a unit without it is somebody else's. */
export const unitMark = '# Written by `perijove worker install`.';

/** The text of the unit file (systemd.service(5)). */
export function workerUnit({ command, environment, user }: WorkerUnit): string {
  const variables = Object.entries(environment).map(
    ([name, value]) => `Environment=${quoted(`${name}=${value}`.replaceAll('%', '%%'))}`,
  );
  const lines = [
    unitMark,
    '[Unit]',
    'Description=Perijove worker',
    'Documentation=man:perijove(1)',
    'Wants=network-online.target',
    'After=network-online.target',
    // However often it ends.
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    'Type=exec',
    ...(user === undefined ? [] : [`User=${user}`]),
    ...variables,
    `ExecStart=${command.map(argument).join(' ')}`,
    'Restart=always',
    'RestartSec=2',
    // It hands its activities over within 10 s.
    'KillMode=mixed',
    'TimeoutStopSec=30',
    '',
    '[Install]',
    `WantedBy=${user === undefined ? 'default' : 'multi-user'}.target`,
  ];
  return `${lines.join('\n')}\n`;
}

/** In a command line, `$` and `%` have meanings of their own. */
function argument(word: string): string {
  const plain = word.replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[\w@%+=:,./$-]+$/.test(plain) ? plain : quoted(plain);
}

function quoted(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}
