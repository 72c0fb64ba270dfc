import { setCurrentDetails, setHandler, upsertMemo, upsertSearchAttributes } from '@temporalio/workflow';
import {
  attachDeploy,
  deployProgress,
  memoKeys,
  searchAttributes,
  type DeployInput,
  type DeployProgress,
  type DeployResult,
} from '../temporal/contract.js';
import type { StageName } from '../deployment/stages.js';
import { failure, finalFailure } from './failure.js';
import {
  markdownOf,
  memoOf,
  newProgress,
  resultOf,
  stageDone,
  stageFailed,
  stageNoted,
  stageSkipped,
  stageStarted,
} from './progress.js';
import { stages } from './stages/index.js';
import type { Deployment } from './stages/stage.js';
import { hostsToConverge } from '../deployment/hosts-to-converge.js';
import { leavingWith, withLeaving } from '../deployment/leaving.js';

/**
 * Brings a cluster to its spec, stage by stage. Each stage observes first and changes only what differs, so a
 * deployment that failed or was cancelled is continued by running it again.
 */
export async function deploy({
  spec,
  digest,
  seen,
  purgeRemoved = false,
}: DeployInput): Promise<DeployResult> {
  let progress = newProgress(spec.name, digest);

  setHandler(deployProgress, () => progress);
  setHandler(attachDeploy, () => ({ digest }), {
    validator(asked) {
      if (asked !== digest) {
        throw failure('SPEC_DIFFERS', `a deployment of ${spec.name} with another spec is already running`, {
          subject: spec.name,
        });
      }
    },
  });

  const show = (next: DeployProgress) => {
    progress = next;
    setCurrentDetails(markdownOf(progress));
  };
  /** For readers while no worker runs. */
  const store = (stage: StageName) => {
    upsertSearchAttributes({ [searchAttributes.stage]: [stage] });
    upsertMemo({ [memoKeys.state]: memoOf(progress) });
  };

  const deployment: Deployment = {
    spec,
    seen,
    checked: undefined,
    identity: undefined,
    surveys: [],
    gotSecrets: new Set(),
    leaving: [],
    get whole() {
      return withLeaving(
        deployment.spec,
        deployment.leaving.map(({ host }) => host),
      );
    },
    purgeRemoved,
    pending: (stage) => [
      ...hostsToConverge(deployment.spec, stage, deployment.surveys, deployment.gotSecrets),
      ...leavingWith(deployment.leaving, stage),
    ],
    note: () => undefined,
  };

  for (const stage of stages) {
    const why = stage.skip?.(spec, deployment);
    if (why !== undefined) {
      show(stageSkipped(progress, stage.name, why));
      continue;
    }
    const startedAt = Date.now();
    show(stageStarted(progress, stage.name));
    store(stage.name);
    deployment.note = (text) => show(stageNoted(progress, stage.name, text));
    try {
      const changes = await stage.run(deployment);
      show(stageDone(progress, stage.name, changes, Date.now() - startedAt, stage.proof?.(spec, deployment)));
    } catch (error) {
      const last = finalFailure(error);
      show(stageFailed(progress, stage.name, last.facts, Date.now() - startedAt));
      store(stage.name);
      throw last.failure;
    }
  }
  upsertMemo({ [memoKeys.state]: memoOf(progress) });
  return resultOf(progress);
}
