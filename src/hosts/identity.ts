/** The mark on a host that names the cluster it belongs to. */
import * as z from 'zod';
import type { ClusterMark } from '../cluster/identity.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import { PerijoveError } from '../errors/error.js';
import type { HostConnection } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import { known, notKnown, observedOn, type Observation } from './observation.js';
import { hostPaths } from './paths.js';

const markSchema = z.object({ name: z.string().min(1), id: z.uuid() });

/** JSON, in one line. `down` keeps it, `down --purge` removes it with the base directory. */
export function markFile(host: Pick<HostSpec, 'dir'>): string {
  return `${hostPaths(host).etc}/cluster`;
}

/** Shell that prints one line for `parseMark`, and fails where the file cannot be read. An empty file is none. */
export function printMarkScript(host: Pick<HostSpec, 'dir'>): string {
  const file = quote(markFile(host));
  return `
if lacking=$(LC_ALL=C stat -L ${file} 2>&1 >/dev/null); then
  [ -f ${file} ] || { echo ${file} 'is not a file' >&2; exit 1; }
  mark=none
  if [ -s ${file} ]; then
    mark=
    IFS= read -r mark <${file} && [ -n "$mark" ] || { echo ${file} 'could not be read' >&2; exit 1; }
  fi
  printf '%s\\n' "cluster $mark"
else
  case $lacking in
    *'No such file or directory'* | *'Not a directory'*) echo 'cluster none' ;;
    *) printf '%s\\n' "$lacking" >&2; exit 1 ;;
  esac
fi`.trim();
}

/** Not known unless the host printed a mark, or that it has none. */
export function parseMark(output: string): Observation<ClusterMark | undefined> {
  const line = output.split('\n').findLast((each) => each.startsWith('cluster '));
  if (line === undefined) return notKnown('no response on which cluster it belongs to');
  const text = line.slice('cluster '.length);
  if (text === 'none') return known(undefined);
  try {
    return known(markSchema.parse(JSON.parse(text)));
  } catch {
    return notKnown('its file etc/cluster does not name a cluster');
  }
}

/**
 * The cluster that a host belongs to; undefined for none.
 *
 * @throws PerijoveError SSH_*, COMMAND_FAILED, OBSERVATION_INCOMPLETE
 */
export async function readMark(
  connection: HostConnection,
  signal?: AbortSignal,
): Promise<ClusterMark | undefined> {
  const { host } = connection;
  const output = await connection.run(printMarkScript(host), signal === undefined ? {} : { signal });
  return observedOn(host.name, parseMark(output));
}

/**
 * Marks a host as one of the cluster, unless it has a mark already. Of two that do this at the same time one succeeds.
 * Resolves to the mark of the host.
 *
 * @throws PerijoveError SSH_*, COMMAND_FAILED, DISK_FULL, OBSERVATION_INCOMPLETE
 */
export async function writeMark(
  connection: HostConnection,
  mark: ClusterMark,
  signal?: AbortSignal,
): Promise<ClusterMark> {
  const { host } = connection;
  const { name, id } = mark;
  const output = await connection.run(
    writeMarkScript(host, { name, id }),
    signal === undefined ? {} : { signal },
  );
  const found = observedOn(host.name, parseMark(output));
  if (found !== undefined) return found;
  throw new PerijoveError('OBSERVATION_INCOMPLETE', `${host.name}: ${markFile(host)} was not kept`, {
    host: host.name,
  });
}

function writeMarkScript(host: Pick<HostSpec, 'dir'>, mark: ClusterMark): string {
  const file = markFile(host);
  const text = `${JSON.stringify(mark)}\n`;
  return `
umask 022
mkdir -p ${quote(hostPaths(host).etc)} || exit 1
new=${quote(file)}.$$
trap 'rm -f "$new"' EXIT
printf '%s' ${quote(text)} >"$new" && [ "$(stat -c %s "$new")" = ${Buffer.byteLength(text)} ] && sync "$new" || exit 1
# A crash may have left an empty one.
if [ -e ${quote(file)} ] && [ ! -s ${quote(file)} ]; then rm -f ${quote(file)}; fi
[ -e ${quote(file)} ] || ln "$new" ${quote(file)} 2>/dev/null || [ -e ${quote(file)} ] || exit 1
${printMarkScript(host)}`.trim();
}

/** The error of a host that belongs to another cluster, or to another one of the same name. */
export function hostTaken(
  host: Pick<HostSpec, 'name' | 'dir'>,
  { name, id }: ClusterMark,
  own: Pick<ClusterSpec, 'name'> & { readonly id?: string },
): PerijoveError {
  const whose = name === own.name ? `another cluster named ${name}` : `the cluster ${name}`;
  const not = own.id === undefined ? '' : `, and not to ${own.id}`;
  return new PerijoveError('CLUSTER_HOSTS_TAKEN', `${host.name} belongs to ${whose} (${id}${not})`, {
    host: host.name,
    subject: markFile(host),
  });
}
