import { setCurrentDetails } from '@temporalio/workflow';
import type { Change } from '../hosts/items.js';
import type { HostInput } from '../temporal/contract.js';
import { failure, lastWord } from './failure.js';
import { converge } from './stages/converge.js';

/** Installs what one host needs: packages and programs. Resolves to what it changed. */
export async function host({ spec, host: name }: HostInput): Promise<readonly Change[]> {
  const target = spec.hosts.find((each) => each.name === name);
  if (target === undefined) throw failure('INTERNAL', `unknown host of ${spec.name}: ${name}`);
  try {
    const changes = await converge(spec, target, 'install');
    setCurrentDetails(changes.map((change) => `- ${change.what}`).join('\n'));
    return changes;
  } catch (error) {
    throw lastWord(error).failure;
  }
}
