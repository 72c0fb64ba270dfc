import * as z from 'zod';
import { PerijoveError, messageOf } from '../errors/error.js';
import { httpRequest, textOf } from '../net/http.js';
import { nodeConfig } from '../node/config.js';
import type { ClusterSpec } from '../cluster/spec.js';
import type { ProxyAddress } from '../proxy/address.js';
import type { SshPool } from '../ssh/connection.js';
import { quote } from '../ssh/shell.js';
import type { NotebookFile } from './model.js';

/** A storage may hold too many files to record; only this many of the newest are watched. */
const mostFiles = 200;

function directoryOf(spec: ClusterSpec): string {
  const [host] = spec.hosts;
  if (!host) throw new Error('a spec has at least one host');
  return nodeConfig(spec, 0, host).jupyter.notebooks;
}

/**
 * The files below the root of the notebooks: the newest 200, without hidden files, because settings and
 * checkpoints change automatically.
 *
 * @throws PerijoveError of the first host, when none can be asked
 */
export async function readNotebooks(pool: SshPool, spec: ClusterSpec): Promise<NotebookFile[]> {
  const script = `
cd ${quote(directoryOf(spec))} || exit 1
find . -name '.?*' -prune -o -type f -printf '%T@ %s %p\\n' | sort -rn | head -n ${mostFiles} |
while read -r modified bytes path; do
  printf '%s %s %s\\n' "\${modified%%.*}" "$bytes" "$(sha256sum "$path")"
done`;
  const output = await onAnyHost(spec, async (host) => (await pool.get(host)).run(script));
  return output
    .split('\n')
    .map((line) => /^(\d+) (\d+) \\?([0-9a-f]{64}) [ *]\.\/(.+)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, modified, bytes, sha256 = '', path = '']) => ({
      path,
      bytes: Number(bytes),
      modified: Number(modified),
      sha256,
    }));
}

/** Removes the marker, if it exists. */
export async function removeMarker(pool: SshPool, spec: ClusterSpec, marker: string): Promise<void> {
  const script = `rm -f ${quote(`${directoryOf(spec)}/${marker}`)}`;
  await onAnyHost(spec, async (host) => (await pool.get(host)).run(script));
}

/** All hosts see the same storage. */
async function onAnyHost<T>(
  spec: ClusterSpec,
  ask: (host: ClusterSpec['hosts'][number]) => Promise<T>,
): Promise<T> {
  let first: unknown;
  for (const host of spec.hosts) {
    try {
      return await ask(host);
    } catch (error) {
      first ??= error;
    }
  }
  throw first;
}

const savedSchema = z.object({ path: z.string() });

/**
 * Saves a notebook as a user does, through a proxy.
 *
 * @throws PerijoveError DRILL_UNHEALTHY when that is not possible
 */
export async function writeMarker(
  { url: base, agent }: ProxyAddress,
  token: string,
  marker: string,
  text: string,
): Promise<void> {
  const content = {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: {},
    cells: [{ id: 'drill', cell_type: 'markdown', metadata: {}, source: text }],
  };
  try {
    const answer = await httpRequest(`${base}/api/contents/${encodeURIComponent(marker)}`, {
      method: 'PUT',
      headers: { authorization: `token ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ type: 'notebook', content }),
      signal: AbortSignal.timeout(10_000),
      agent,
    });
    const body = await textOf(answer);
    if (answer.status > 299) throw new Error(`status ${answer.status}`);
    savedSchema.parse(JSON.parse(body));
  } catch (error) {
    throw new PerijoveError('DRILL_UNHEALTHY', `a notebook cannot be saved: ${messageOf(error)}`, {
      subject: base,
      cause: error,
    });
  }
}
