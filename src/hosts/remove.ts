import { PerijoveError } from '../errors/error.js';
import type { HostConnection } from '../ssh/connection.js';
import { orFail, quote } from '../ssh/shell.js';
import type { Change, HostItems } from './items.js';
import { mountedBelowFunction } from './mount-table.js';
import { hostPaths, isSystemDirectory } from './paths.js';
import { initDriver, observeInit } from './services.js';

const removeTimeoutMs = 180_000;

/** Removes the services and files of these items; packages and directories stay. Returns what was removed. */
export async function removeItems(
  connection: HostConnection,
  items: HostItems,
  { cluster }: { readonly cluster: string },
): Promise<Change[]> {
  const driver = initDriver(connection.host, cluster, await observeInit(connection));
  const output = await connection.run(
    [
      `say() { printf '%s\\n' "$1"; }`,
      ...items.services.flatMap(({ name }) => {
        const definition = driver
          .render({ name, description: '', exec: ['true'], env: {}, restartOn: [] })
          .at(-1);
        return [
          `if [ -e ${quote(definition?.path ?? '')} ]; then say ${quote(`removed the service ${name}`)}; fi`,
          orFail(driver.removeScript(name)),
        ];
      }),
      ...items.files.map(
        ({ path: file }) =>
          `if [ -e ${quote(file)} ]; then rm -f ${quote(file)} && say ${quote(`removed ${file}`)} || exit 1; fi`,
      ),
    ].join('\n'),
    { timeoutMs: removeTimeoutMs },
  );
  return changesOf(connection, output);
}

export interface RemoveHostOptions {
  /** Also remove data, secrets and logs, and the base directory. */
  readonly purge: boolean;
  readonly cluster: string;
}

/**
 * Stops and removes all services of the cluster on a host, unmounts what is mounted below the base directory,
 * and removes the programs; with `purge`, everything below it. Returns what was removed: nothing when
 * repeated.
 *
 * @throws PerijoveError DIR_REFUSED, SSH_*, COMMAND_FAILED
 */
export async function removeHost(
  connection: HostConnection,
  { purge, cluster }: RemoveHostOptions,
): Promise<Change[]> {
  const { host } = connection;
  if (isSystemDirectory(host.dir)) {
    throw new PerijoveError('DIR_REFUSED', `${host.dir} is a system directory`, {
      host: host.name,
      subject: host.dir,
    });
  }
  const driver = initDriver(host, cluster, await observeInit(connection));
  const paths = hostPaths(host);
  const dir = quote(host.dir);
  const programs = [paths.bin, paths.service, paths.run, `${host.dir}/opt`, `${paths.etc}/services`];
  const output = await connection.run(
    `
[ -d ${dir} ] || exit 0
# A link could lead anywhere.
[ ! -h ${dir} ] || { echo ${dir} 'is a symbolic link' >&2; exit 1; }
had=
for path in ${programs.map(quote).join(' ')}; do [ ! -e "$path" ] || had=yes; done
${orFail(driver.removeAllScript())}
${mountedBelowFunction(host.dir)}
mounted_below || exit 1
(
  IFS='
'; set -f
  for mounted in $mounted; do umount "$mounted" || exit 1; done
) || exit 1
mounted_below || exit 1
[ -z "$mounted" ] || { echo 'still mounted:' $mounted >&2; exit 1; }
${purge ? `rm -rf --one-file-system ${dir} 2>/dev/null || { find ${dir} -xdev -mindepth 1 -delete && rmdir ${dir}; } || exit 1; had=yes` : `rm -rf ${programs.map(quote).join(' ')} || exit 1`}
[ -z "$had" ] || echo ${purge ? quote(`removed ${host.dir} and everything in it`) : quote(`removed services and programs below ${host.dir}`)}`.trim(),
    { timeoutMs: removeTimeoutMs },
  );
  return changesOf(connection, output);
}

function changesOf(connection: HostConnection, output: string): Change[] {
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((what) => ({ host: connection.host.name, what }));
}
