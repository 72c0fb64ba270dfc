/** Connects to a cluster's framework; a single error when none runs. */
import { WorkflowNotFoundError, type Client, type WorkflowHandle } from '@temporalio/client';
import { PerijoveError } from '../errors/error.js';
import type { ClusterSpec } from '../cluster/spec.js';
import { workflowIds } from '../temporal/contract.js';
import type { CommandContext } from './command.js';
import { openSpec } from './spec-file.js';
import { temporalSettings, withTemporal, type TemporalChoice } from './temporal.js';

export interface Framework {
  readonly spec: ClusterSpec;
  readonly client: Client;
  readonly handle: WorkflowHandle;
}

/** @throws PerijoveError FRAMEWORK_ABSENT when none runs for the cluster, TEMPORAL_*, SPEC_* */
export async function withFramework<T>(
  context: CommandContext,
  options: TemporalChoice & { readonly file: string | undefined },
  work: (framework: Framework) => Promise<T>,
): Promise<T> {
  const { spec, absolute } = await openSpec(context, options.file);
  return withTemporal(temporalSettings(context, options, absolute), async ({ client }) => {
    const handle = client.workflow.getHandle(workflowIds.framework(spec.name));
    try {
      return await work({ spec, client, handle });
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
      throw new PerijoveError('FRAMEWORK_ABSENT', `${spec.name} has no running framework`, {
        subject: spec.name,
      });
    }
  });
}
