import { initDriver, observeInit, hostServices } from '../../hosts/services.js';
import { PerijoveError } from '../../errors/error.js';
import type { ClusterSpec, HostSpec } from '../../cluster/spec.js';
import type { HostConnection } from '../../ssh/connection.js';
import { quote } from '../../ssh/shell.js';
import { brokenLogSign, type SetAside, type SilentMaster } from './broken-log.js';
import { masterService } from '../installation/items.js';
import { mesosPaths } from '../installation/paths.js';

/*
 * What is done to a master is recorded on its host: `<data>/mesos-master.broken/record` has a line each for
 * when it was begun, why, that everything is moved, and how many seconds it took. Any worker can continue
 * from there. The newest replica that was set aside is kept beside the record for inspection.
 */

/** Where a broken replica is kept, with the logs of its master. */
export function brokenPath(host: Pick<HostSpec, 'dir'>): string {
  return `${mesosPaths(host).masterWork}.broken`;
}

const recordOf = (host: Pick<HostSpec, 'dir'>) => `${brokenPath(host)}/record`;
const logLines = 2_000;

/** @throws PerijoveError SSH_*, COMMAND_FAILED */
export async function observeSilentMaster(
  connection: HostConnection,
  cluster: string,
): Promise<SilentMaster> {
  const { host } = connection;
  const services = await hostServices(connection, cluster);
  const [[status], log, record] = await Promise.all([
    services.status([masterService]),
    services.logs(masterService, logLines),
    connection.run(`clock=$(date +%s) || exit 1\necho "$clock"\n${printRecord(host)}`),
  ]);
  const [, clock, text] = /^(\d+)\n([^]*)$/.exec(record) ?? [];
  if (clock === undefined || text === undefined) throw cutShort(host);
  const sign = brokenLogSign(log, Number(clock) * 1_000);
  const setAside = parseRecord(wholeRecord(host, text));
  return {
    host: host.name,
    clock: Number(clock),
    stopped: status?.state === 'stopped',
    ...(sign !== undefined && { sign }),
    ...(setAside && { setAside }),
  };
}

/** What was last set aside on a host. @throws PerijoveError SSH_*, COMMAND_FAILED */
export async function readSetAside(connection: HostConnection): Promise<SetAside | undefined> {
  const { host } = connection;
  return parseRecord(wholeRecord(host, await connection.run(printRecord(host))));
}

/** Fails when a record cannot be read: otherwise the repair would run again and overwrite what was kept. */
const printRecord = (host: Pick<HostSpec, 'dir'>) => {
  const record = quote(recordOf(host));
  return `if [ -e ${record} ]; then cat ${record} || exit 1; fi\necho complete`;
};

function wholeRecord(host: HostSpec, printed: string): string {
  const text = printed.replace(/complete\n$/, '');
  if (text === printed || (text !== '' && !text.endsWith('\n'))) throw cutShort(host);
  return text;
}

function cutShort({ name }: HostSpec): PerijoveError {
  const message = `${name} did not report earlier repairs of its Mesos master`;
  return new PerijoveError('COMMAND_FAILED', message, { host: name });
}

/** Undefined for text that is not a record. */
export function parseRecord(text: string): SetAside | undefined {
  const [, at, why = '', rest = ''] = /^begun (\d+)\nwhy (.*)\n([^]*)$/.exec(text) ?? [];
  if (at === undefined) return undefined;
  const [, seconds] = /^took (\d+)$/m.exec(rest) ?? [];
  return {
    at: Number(at),
    why,
    ...(seconds !== undefined && { tookSeconds: Number(seconds) }),
    ...(/^left$/m.test(rest) && { left: true as const }),
  };
}

/**
 * Stops the master, sets its `work_dir` and `log_dir` aside, and starts it. Resumes where it was interrupted;
 * does nothing if it was done within the last hour, by whichever worker.
 *
 * @param at the `clock` by which it was decided
 * @throws PerijoveError SSH_*, COMMAND_FAILED
 */
export async function setAside(
  connection: HostConnection,
  spec: Pick<ClusterSpec, 'name'>,
  { at, why }: Pick<SetAside, 'at' | 'why'>,
): Promise<void> {
  const driver = initDriver(connection.host, spec.name, await observeInit(connection));
  const script = setAsideScript(connection.host, { at, why }, driver);
  await connection.run(script, { timeoutMs: 90_000 });
}

/**
 * Starts a master that was left stopped, and records that its repair was abandoned: if it is stopped later,
 * that is on purpose.
 *
 * @throws PerijoveError SERVICE_FAILED, SSH_*, COMMAND_FAILED
 */
export async function startMaster(connection: HostConnection, cluster: string): Promise<void> {
  await (await hostServices(connection, cluster)).start(masterService);
  await connection.run(`echo left >> ${quote(recordOf(connection.host))}`);
}

interface Supervisor {
  stopScript(name: string): string;
  startScript(name: string): string;
}

/** In POSIX sh. Runs one at a time: a second run waits, finds what the first one did, and does nothing. */
export function setAsideScript(
  host: Pick<HostSpec, 'dir'>,
  { at, why }: Pick<SetAside, 'at' | 'why'>,
  supervisor: Supervisor,
): string {
  const { masterWork, masterLog } = mesosPaths(host);
  const broken = brokenPath(host);
  const record = recordOf(host);
  const oneLine = why.replaceAll(/\s+/g, ' ');
  const moves = [
    [masterWork, `${broken}/work_dir`],
    [masterLog, `${broken}/log_dir`],
  ].map(
    // Once set aside, it is kept, whatever is in its place now. A move to another file system may be
    // interrupted.
    ([from = '', to = '']) => {
      const [source, part, target] = [from, `${to}.part`, to].map(quote);
      return `if [ -e ${source} ] && [ ! -e ${target} ]; then
  rm -rf ${part}
  mv -T ${source} ${part}
  mv -T ${part} ${target}
fi`;
    },
  );
  return `
set -e
exec 8> ${quote(`${broken}.lock`)}
flock -w 60 8
# By the shell alone: a record that another program fails to read would be begun anew, over what it keeps.
begun='' moved='' took=''
if [ -e ${quote(record)} ]; then
  while read -r what when; do
    case $what in begun) begun=$when ;; moved) moved=yes ;; took) took=yes ;; esac
  done < ${quote(record)}
  [ -n "$begun" ] || { echo ${quote(`cannot read ${record}`)} >&2; exit 1; }
fi
if [ -n "$begun" ] && [ $((${at} - begun)) -lt 3600 ] && [ $((${at} - begun)) -gt -3600 ]; then
  if [ -n "$took" ]; then exit 0; fi
else
  rm -rf ${quote(broken)}
  mkdir ${quote(broken)}
  printf 'begun %s\\nwhy %s\\n' ${at} ${quote(oneLine)} > ${quote(`${record}.new`)}
  mv ${quote(`${record}.new`)} ${quote(record)}
  begun=${at} moved=
fi
if [ -z "$moved" ]; then
(
${supervisor.stopScript(masterService)}
) 8>&-
${moves.join('\n')}
mkdir -p -m 755 ${quote(masterWork)} ${quote(masterLog)}
echo moved >> ${quote(record)}
fi
(
${supervisor.startScript(masterService)}
) 8>&-
echo "took $(($(date +%s) - begun))" >> ${quote(record)}`.trim();
}
