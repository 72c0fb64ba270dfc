/** The secrets that masters run with, from their start-up files: they may be older than the stored ones. */
import { hostsWithRole, type ClusterSpec, type HostSpec } from '../../cluster/spec.js';
import type { SshPool } from '../../ssh/connection.js';
import { quote } from '../../ssh/shell.js';
import { mesosPaths } from './paths.js';
import { parseCredential, type Credential } from '../masters/http.js';

/**
 * Digests (`user:password`) that masters were started with, without duplicates. Reads all masters: one whose
 * digest is not known must not be shut out.
 *
 * @throws PerijoveError SSH_*, COMMAND_FAILED
 */
export async function runningDigests(pool: SshPool, spec: ClusterSpec): Promise<readonly string[]> {
  const urls = await Promise.all(
    hostsWithRole(spec, 'master').map((host) => fileOf(pool, host, mesosPaths(host).zkUrl)),
  );
  const digests = urls.flatMap((url) => /^zk:\/\/([^@/]+)@/.exec(url ?? '')?.[1] ?? []);
  return [...new Set(digests)];
}

/** The credential that a host's master was started with; undefined when it has none. */
export async function runningCredential(pool: SshPool, host: HostSpec): Promise<Credential | undefined> {
  const text = await fileOf(pool, host, mesosPaths(host).credentials);
  const inner = /^\{"credentials":\[(.*)\]\}$/s.exec(text ?? '')?.[1];
  return inner === undefined ? undefined : parseCredential(inner);
}

/** @throws PerijoveError SSH_*, COMMAND_FAILED */
async function fileOf(pool: SshPool, host: HostSpec, path: string): Promise<string | undefined> {
  const connection = await pool.get(host);
  const text = await connection.run(`if [ -e ${quote(path)} ]; then cat ${quote(path)} || exit 1; fi`);
  return text.trim() === '' ? undefined : text.trim();
}
