import { execFileSync } from 'node:child_process';
import type { HostConnection } from '../../src/ssh/connection.js';

/** Faults of a program: it fails, prints nothing, or prints half of its output and exits with success. */
export const faults = ['fails', 'prints nothing', 'prints half'] as const;
export type Fault = (typeof faults)[number];

const real = (program: string) =>
  execFileSync('sh', ['-c', `PATH="$PATH:/usr/sbin:/sbin"; command -v ${program}`], {
    encoding: 'utf8',
  }).trim();

/** Shell that puts a broken program into a directory for the front of PATH. */
export function breakScript(directory: string, program: string, fault: Fault, path = real(program)): string {
  const script = {
    fails: 'echo broken >&2; exit 4',
    'prints nothing': 'exit 0',
    'prints half': `out=$(mktemp); ${path} "$@" > "$out"; /usr/bin/head -c $(($(/usr/bin/stat -c %s "$out") / 2)) "$out"; /bin/rm -f "$out"; exit 0`,
  }[fault];
  return `mkdir -p ${directory} && cat > ${directory}/${program} <<'END' && chmod 755 ${directory}/${program}
#!/bin/sh
${script}
END`;
}

/** The same connection, with a directory first on the PATH of its scripts. */
export function preferring(connection: HostConnection, directory: string): HostConnection {
  const before = (script: string) => `PATH=${directory}:$PATH; export PATH\n${script}`;
  const other = Object.create(connection) as HostConnection;
  return Object.assign(other, {
    exec: (script, options) => connection.exec(before(script), options),
    run: (script, options) => connection.run(before(script), options),
    upload: (...args) => connection.upload(...args),
  } satisfies Pick<HostConnection, 'exec' | 'run' | 'upload'>);
}
