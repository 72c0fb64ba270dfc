/** The image of the nodes on a host, over SSH. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { PerijoveError } from '../../errors/error.js';
import type { Change } from '../../hosts/items.js';
import { hostPaths } from '../../hosts/paths.js';
import type { HostConnection } from '../../ssh/connection.js';
import { isNoSpace } from '../../ssh/exec.js';
import { quote } from '../../ssh/shell.js';
import { ensureBase } from './base.js';
import { imageFunction } from './reference.js';
import { notHere, type ImageArchive, type ImageWork } from './archive.js';
import { missingSpace, type FreeSpace } from './plan.js';

const inspectTimeoutMs = 60_000;
/** Building and pulling depend on the network path to Debian's, Python's and the image's servers. */
const longTimeoutMs = 25 * 60_000;
const noDockerExit = 64;

/**
 * Whether the host has the image. Waits for a Docker that is still starting.
 *
 * @throws PerijoveError DAEMON_FAILED
 */
export async function hostHasImage(
  connection: HostConnection,
  reference: string,
  signal: AbortSignal,
): Promise<boolean> {
  const { code } = await connection.exec(
    `
command -v docker >/dev/null || exit ${noDockerExit}
asked=0
until timeout 10 docker version >/dev/null 2>&1; do
  asked=$((asked + 1))
  [ "$asked" -lt 30 ] || exit ${noDockerExit}
  sleep 1
done
${imageFunction}
has_image ${quote(reference)}
case $? in 0 | 1) exit $? ;; *) exit ${noDockerExit} ;; esac`,
    { timeoutMs: inspectTimeoutMs, signal },
  );
  if (code !== 0 && code !== 1) {
    const { name } = connection.host;
    throw new PerijoveError('DAEMON_FAILED', `no Docker server responds on ${name}`, { host: name });
  }
  return code === 0;
}

/** Pulls the image on the host. @throws PerijoveError IMAGE_PULL_FAILED */
export async function pullOnHost(
  connection: HostConnection,
  reference: string,
  { signal, report }: ImageWork,
): Promise<Change[]> {
  const { name } = connection.host;
  report(`${name} pulls ${reference}`);
  const { code, stderr } = await connection.exec(`docker pull --quiet ${quote(reference)}`, {
    timeoutMs: longTimeoutMs,
    signal,
  });
  if (code !== 0) {
    throw new PerijoveError('IMAGE_PULL_FAILED', `${name} cannot pull ${reference}: ${lastLine(stderr)}`, {
      host: name,
      subject: reference,
    });
  }
  return [{ host: name, what: `pulled ${reference}` }];
}

/** Builds the image on a host. @throws PerijoveError IMAGE_BUILD_FAILED, and those of `ensureBase` */
export async function buildOnHost(
  connection: HostConnection,
  reference: string,
  context: string,
  work: ImageWork,
): Promise<void> {
  const { host } = connection;
  const { signal, report } = work;
  await ensureBase(connection, work);
  const directory = `${hostPaths(host).run}/node-image`;
  await connection.run(`rm -rf ${quote(directory)} && mkdir -p ${quote(directory)}`, { signal });
  for (const name of await readdir(context)) {
    const source = { file: path.join(context, name) };
    await connection.upload(source, `${directory}/${name}`, { mode: 0o644, signal });
  }
  report(`${host.name} builds ${reference}`);
  const { code, stdout, stderr } = await connection.exec(
    `trap ${quote(`rm -rf ${quote(directory)}`)} EXIT\ndocker build --tag ${quote(reference)} ${quote(directory)}`,
    { timeoutMs: longTimeoutMs, signal },
  );
  if (code !== 0) {
    const tail = `${stdout.trim()}\n${stderr.trim()}`.split('\n').slice(-8).join('\n');
    throw new PerijoveError('IMAGE_BUILD_FAILED', `docker build on ${host.name} failed:\n${tail}`, {
      host: host.name,
      subject: reference,
    });
  }
}

/** Fetches the archive of an image from a host. @throws PerijoveError IMAGE_NOT_HERE, DISK_FULL */
export async function fetchFromHost(
  connection: HostConnection,
  reference: string,
  file: string,
  { signal, report }: ImageWork,
): Promise<{ imageBytes: number }> {
  const { host } = connection;
  const remote = `${hostPaths(host).run}/node-image-out.tar.gz`;
  report(`${host.name} saves ${reference}`);
  const output = await connection.run(
    `
set -e
docker image inspect --format '{{.Size}}' ${quote(reference)} || exit 0
{ docker save ${quote(reference)} || echo >${quote(`${remote}.failed`)}; } | gzip -1 >${quote(remote)}
[ ! -e ${quote(`${remote}.failed`)} ] || { rm -f ${quote(remote)} ${quote(`${remote}.failed`)}; exit 1; }
chmod 644 ${quote(remote)}`,
    { timeoutMs: longTimeoutMs, signal },
  );
  if (output.trim() === '') throw notHere(reference);
  report(`fetching ${reference} from ${host.name}`);
  try {
    await connection.download(remote, file, { signal });
  } finally {
    await connection.exec(`rm -f ${quote(remote)}`).catch(() => undefined);
  }
  return { imageBytes: Number(output) };
}

/**
 * Sends an archive to a host and loads it into Docker. Replaces the remains of an interrupted attempt.
 *
 * @throws PerijoveError DISK_FULL before anything is sent; IMAGE_LOAD_FAILED; SSH_*
 */
export async function loadOnHost(
  connection: HostConnection,
  reference: string,
  archive: ImageArchive,
  { signal, report }: ImageWork,
): Promise<Change[]> {
  const { host } = connection;
  const { run } = hostPaths(host);
  const remote = `${run}/node-image.tar.gz`;
  await checkSpace(connection, archive, signal);
  report(`sending ${mebibytes(archive.archiveBytes)} to ${host.name}`);
  await connection.upload({ file: archive.file }, remote, { mode: 0o600, signal });
  report(`${host.name} loads ${reference}`);
  const { code, stderr } = await connection.exec(
    `
trap ${quote(`rm -f ${quote(remote)}`)} EXIT
docker load --quiet --input ${quote(remote)} >/dev/null && docker image inspect ${quote(reference)} >/dev/null`,
    { timeoutMs: longTimeoutMs, signal },
  );
  if (code !== 0) {
    throw new PerijoveError(
      isNoSpace(stderr) ? 'DISK_FULL' : 'IMAGE_LOAD_FAILED',
      `${host.name} cannot load ${reference}: ${lastLine(stderr)}`,
      {
        host: host.name,
        subject: reference,
      },
    );
  }
  return [{ host: host.name, what: `loaded ${reference} (${mebibytes(archive.imageBytes)})` }];
}

async function checkSpace(
  connection: HostConnection,
  archive: ImageArchive,
  signal: AbortSignal,
): Promise<void> {
  const { host } = connection;
  const { run } = hostPaths(host);
  const output = await connection.run(
    `
mkdir -p ${quote(run)} || exit 1
docker=$(docker info --format '{{.DockerRootDir}}') && [ -n "$docker" ] || { echo 'Docker did not report its data directory' >&2; exit 1; }
for place in ${quote(run)} "$docker"; do df -Pk "$place" | awk 'NR == 2 { print $1, $4 }'; done
echo "$docker"`,
    { signal },
  );
  const [first = '', second = '', root = ''] = output.trim().split('\n');
  const [directory, docker] = [spaceOf(first), spaceOf(second)];
  if (directory === undefined || docker === undefined) {
    throw new PerijoveError('COMMAND_FAILED', `df on ${host.name} did not report the free space`, {
      host: host.name,
    });
  }
  const lack = missingSpace(archive, { directory, docker });
  if (lack === undefined) return;
  const where = lack.where === 'docker' ? root : run;
  throw new PerijoveError(
    'DISK_FULL',
    `the node image needs ${mebibytes(lack.neededBytes)} at ${where} on ${host.name}, where only ${mebibytes(lack.freeBytes)} are free`,
    { host: host.name, subject: where },
  );
}

function spaceOf(line: string): FreeSpace | undefined {
  const [, device, kibibytes] = /^(\S+) (\d+)$/.exec(line) ?? [];
  return device === undefined ? undefined : { device, freeBytes: Number(kibibytes) * 1024 };
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 1024 / 1024)} MiB`;
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
