import { PerijoveError } from '../errors/error.js';
import { httpRequest } from '../net/http.js';
import type { CommandContext } from './command.js';
import { labOf, temporalSettings, type TemporalChoice } from './temporal.js';

/** Temporal's dev server has its Web UI 1000 ports above its frontend. */
const uiOffset = 1000;

/**
 * Temporal's Web UI at the namespace of a cluster, without a slash at its end: of PERIJOVE_TEMPORAL_UI, of the lab, or of a
 * dev server.
 *
 * @param specFile absolute
 * @throws PerijoveError ADDRESS_UNKNOWN, TEMPORAL_PROFILE_INVALID
 */
export async function temporalUi(
  context: CommandContext,
  choice: TemporalChoice,
  specFile: string,
): Promise<string> {
  const given = context.env['PERIJOVE_TEMPORAL_UI'] ?? labOf(specFile)?.temporal?.ui;
  const { resolveTarget } = await import('../temporal/connect.js');
  const { address, namespace } = resolveTarget(temporalSettings(context, choice, specFile));
  const base = given ?? (await devServerUi(address));
  return `${base.replace(/\/$/, '')}/namespaces/${namespace}`;
}

/** @throws PerijoveError ADDRESS_UNKNOWN when no Web UI responds there */
async function devServerUi(address: string): Promise<string> {
  const [host = '', port = ''] = address.split(':');
  const url = `http://${host}:${Number(port) + uiOffset}`;
  try {
    const { body } = await httpRequest(url, { signal: AbortSignal.timeout(3_000) });
    body.destroy();
    return url;
  } catch (cause) {
    throw new PerijoveError('ADDRESS_UNKNOWN', `the Temporal Web UI does not answer at ${url}`, {
      remedy: 'Set PERIJOVE_TEMPORAL_UI to its address.',
      cause,
    });
  }
}
