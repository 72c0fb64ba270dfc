import { createHash } from 'node:crypto';
import { quote } from '../ssh/shell.js';
import type { HostSpec } from '../cluster/spec.js';
import { checksumFunctions } from './checksum.js';
import type { ServiceItem } from './items.js';
import { known, notKnown, type Observation } from './observation.js';
import { hostPaths } from './paths.js';

/**
 * Each start of a service records on the host what it runs with: its definition, and its `restartOn` and `reloadOn`
 * files with their checksums. A difference between desired and running is thus found after any crash, such as that
 * of a worker that wrote a file and did not get to restart the service.
 */
export function recordFile(host: Pick<HostSpec, 'dir'>, name: string): string {
  return `${hostPaths(host).run}/${name}.running`;
}

/** A digest of those parts of a definition that require a restart when they change. */
export function definitionDigest(service: ServiceItem): string {
  const { exec, env, user, workingDirectory, openFiles, stamp } = service;
  const sorted = Object.entries(env).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(
      JSON.stringify([
        exec,
        sorted,
        user ?? null,
        workingDirectory ?? null,
        openFiles ?? null,
        ...(stamp === undefined ? [] : [stamp]),
      ]),
    )
    .digest('hex');
}

/** The files whose checksums are in a service's record. */
export function recordedFiles({ restartOn, reloadOn = [] }: ServiceItem): readonly string[] {
  return [...restartOn, ...reloadOn];
}

/** The record of a service that was started with these checksums (`absent` for a missing file). */
export function recordOf(service: ServiceItem, checksum: (path: string) => string): string {
  return [
    `${definitionDigest(service)} definition\n`,
    ...recordedFiles(service).map((path) => `${checksum(path)} ${path}\n`),
  ].join('');
}

/**
 * Shell that writes the record, to be run right before the service's program. A file that changes in between
 * is recorded in its old version: one restart too many, never one too few. A record that cannot be written is
 * removed, for the same reason.
 */
export function recordScript(host: Pick<HostSpec, 'dir'>, service: ServiceItem): string {
  const record = recordFile(host, service.name);
  return `${collectRecordScript(host, service)} && mv -f ${quote(record)}.$$ ${quote(record)} || rm -f ${quote(record)} ${quote(record)}.$$`;
}

/** Shell that writes the record to its file's name with `.$$`. */
function collectRecordScript(host: Pick<HostSpec, 'dir'>, service: ServiceItem): string {
  const record = recordFile(host, service.name);
  return `${checksumFunctions(hostPaths(host).run)}
{
  echo '${definitionDigest(service)} definition'
  for file in ${recordedFiles(service).map(quote).join(' ')}; do
    printf '%s %s\\n' "$(checksum "$file")" "$file"
  done
} > ${quote(record)}.$$`;
}

/** Shell that prints the record, if any, for `parseRecord`. Shell builtins only, so that none is missed. */
export function printRecordScript(host: Pick<HostSpec, 'dir'>, name: string): string {
  const record = quote(recordFile(host, name));
  return `if [ ! -e ${record} ] || while IFS= read -r line; do printf '%s\\n' "record ${name} $line"; done < ${record}; then echo 'recorded ${name}'; fi`;
}

/** The record of a service from the output of its status script; empty if there is none. */
export function parseRecord(lines: readonly string[], name: string): Observation<string> {
  if (!lines.includes(`recorded ${name}`))
    return notKnown(`the record of what ${name} was started with could not be read`);
  const prefix = `record ${name} `;
  return known(
    lines
      .filter((line) => line.startsWith(prefix))
      .map((line) => `${line.slice(prefix.length)}\n`)
      .join(''),
  );
}

/** Seconds for a service to take over what changed. */
const reloadSeconds = 15;

/**
 * Shell that lets a running service take over its `reloadOn` files; fails if it does not within 15 s. The record is
 * written afterwards, with the checksums from before the signal.
 *
 * @param signal - shell that sends SIGHUP to its main process
 */
export function reloadScript(host: Pick<HostSpec, 'dir'>, service: ServiceItem, signal: string): string {
  const record = quote(recordFile(host, service.name));
  const request = quote(reloadFile(host, service.name));
  return `
set -e
${collectRecordScript(host, service)}
trap 'rm -f '${record}.$$ EXIT
wanted=$$.$(date +%s)
printf '%s' "$wanted" > ${request}
${signal}
tries=0
until [ "$(cat ${request}.done 2>/dev/null)" = "$wanted" ]; do
  tries=$((tries + 1)); [ "$tries" -lt ${reloadSeconds * 10} ] || { echo ${quote(`${service.name} has not reloaded`)} >&2; exit 1; }
  sleep 0.1
done
mv -f ${record}.$$ ${record}`.trim();
}

/** The value of PERIJOVE_RELOAD. */
export function reloadFile(host: Pick<HostSpec, 'dir'>, name: string): string {
  return `${hostPaths(host).run}/${name}.reload`;
}

/** What differs between two records: paths, and `definition`. Empty if nothing does. */
export function recordDifference(running: string, wanted: string): string[] {
  const before = sumsOf(running);
  const after = sumsOf(wanted);
  const paths = [...new Set([...after.keys(), ...before.keys()])];
  return paths.filter((path) => before.get(path) !== after.get(path));
}

/** A difference as text: `zoo.cfg changed`. */
export function describeDifference(path: string): string {
  return `${path.slice(path.lastIndexOf('/') + 1)} changed`;
}

function sumsOf(record: string): Map<string, string> {
  return new Map(
    record
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const at = line.indexOf(' ');
        return [line.slice(at + 1), line.slice(0, at)];
      }),
  );
}
