import { setCurrentDetails } from '@temporalio/workflow';
import { hostOf } from '../cluster/host-of.js';
import type { Change } from '../hosts/items.js';
import type { HostInput } from '../temporal/contract.js';
import { finalFailure } from './failure.js';
import { converge } from './stages/converge.js';

/** Installs what one host needs: packages and programs. Resolves to its changes. */
export async function host({ spec, host: name }: HostInput): Promise<readonly Change[]> {
  try {
    const changes = await converge(spec, hostOf(spec, name), 'install');
    setCurrentDetails(changes.map((change) => `- ${change.what}`).join('\n'));
    return changes;
  } catch (error) {
    throw finalFailure(error).failure;
  }
}
