import { setCurrentDetails } from '@temporalio/workflow';
import { text } from '../cluster/flaws.js';
import { hostOf } from '../cluster/host-of.js';
import { clusterSpec } from '../cluster/spec-data.js';
import type { Change } from '../hosts/items.js';
import type { HostInput } from '../temporal/contract.js';
import { finalFailure } from './failure.js';
import { requireInput } from './input.js';
import { converge } from './stages/converge.js';

/** Installs what one host needs: packages and programs. Resolves to its changes. */
export async function host(input: HostInput): Promise<readonly Change[]> {
  requireInput<HostInput>('host', input, { spec: clusterSpec, host: text });
  const { spec, host: name } = input;
  try {
    const changes = await converge(spec, hostOf(spec, name), 'install');
    setCurrentDetails(changes.map((change) => `- ${change.what}`).join('\n'));
    return changes;
  } catch (error) {
    throw finalFailure(error).failure;
  }
}
