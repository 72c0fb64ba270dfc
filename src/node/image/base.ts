/** The base image of ours, on a host that builds it: its own, a registry's, or one that is made there. */
import { PerijoveError } from '../../errors/error.js';
import { hostPaths } from '../../hosts/paths.js';
import { installPackages } from '../../hosts/packages.js';
import type { HostConnection } from '../../ssh/connection.js';
import { quote } from '../../ssh/shell.js';
import { imageFunction } from './reference.js';
import type { ImageWork } from './archive.js';

const base = 'debian:bookworm-slim';
const pullTimeoutMs = 10 * 60_000;
const makeTimeoutMs = 20 * 60_000;
const notKnownExit = 64;

/**
 * Ensures that Docker on the host has Debian's image. If no registry provides it, debootstrap makes it, with
 * the host's own certificate authorities in it.
 *
 * @throws PerijoveError IMAGE_BUILD_FAILED; PACKAGE_*, PACKAGES_LOCKED, SSH_*
 */
export async function ensureBase(connection: HostConnection, { signal, report }: ImageWork): Promise<void> {
  const { host } = connection;
  report(`looking for ${base} on ${host.name}`);
  const pulled = await connection.exec(
    `${imageFunction}
has_image ${base} && exit 0
[ $? -eq 1 ] || exit ${notKnownExit}
docker pull --quiet ${base} >/dev/null || exit 1`,
    { timeoutMs: pullTimeoutMs, signal },
  );
  if (pulled.code === 0) return;
  if (pulled.code === notKnownExit) {
    throw new PerijoveError('DAEMON_FAILED', `${host.name}: Docker did not report whether it has ${base}`, {
      host: host.name,
      subject: 'docker',
    });
  }
  const failed = (why: string) =>
    new PerijoveError('IMAGE_BUILD_FAILED', `${host.name} cannot get ${base}: ${why}`, { host: host.name });
  const refused = pulled.stderr.trim().split('\n').at(-1) ?? '';
  const { code: noApt } = await connection.exec('command -v apt-get >/dev/null', { signal });
  if (noApt !== 0) throw failed(refused);
  await installPackages(connection, ['debootstrap'], { signal, onWait: report });
  report(`${host.name} makes ${base}`);
  const made = await connection.exec(makeScript(`${hostPaths(host).run}/node-image-base`), {
    timeoutMs: makeTimeoutMs,
    signal,
  });
  if (made.code !== 0) {
    const tail = `${made.stdout.trim()}\n${made.stderr.trim()}`.split('\n').slice(-5).join('\n');
    throw failed(`${refused}; and debootstrap failed:\n${tail}`);
  }
}

function makeScript(root: string): string {
  return `
${imageFunction}
set -e
umask 022
root=${quote(root)}
trap 'rm -rf --one-file-system "$root"' EXIT
rm -rf --one-file-system "$root"
mkdir -p "$root"
# The mirror that the host has its own packages from, if it is one of Debian's.
mirror=$(sed -n -e 's/^URIs: *\\([^ ]*\\).*/\\1/p' -e 's/^deb \\(\\[[^]]*\\] \\)\\{0,1\\}\\(http[^ ]*\\).*/\\2/p' \\
  /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep '/debian/*$' | head -n 1) || :
mirror=\${mirror:-http://deb.debian.org/debian}
debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "$mirror"
{
  echo "deb $mirror bookworm main"
  echo "deb $mirror bookworm-updates main"
  echo 'deb http://deb.debian.org/debian-security bookworm-security main'
} >"$root/etc/apt/sources.list"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb
if ls /usr/local/share/ca-certificates/*.crt >/dev/null 2>&1; then
  mkdir -p "$root/usr/local/share/ca-certificates"
  cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
  chroot "$root" update-ca-certificates
fi
# The name is nobody else's.
has_image ${base} && exit 0
[ $? -eq 1 ]
tar --numeric-owner --one-file-system -C "$root" -c . | docker import --change 'CMD ["bash"]' - ${base} >/dev/null`;
}
