import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  executeChild,
  ParentClosePolicy,
  patched,
  setCurrentDetails,
  setHandler,
  upsertMemo,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { specDigest } from '../cluster/digest.js';
import { flag, list, map, optional, text } from '../cluster/flaws.js';
import { clusterSpec } from '../cluster/spec-data.js';
import {
  attachDeploy,
  deployProgress,
  memoKeys,
  searchAttributes,
  workflowIds,
  workflowNames,
  type DeployInput,
  type DeployProgress,
  type DeployResult,
} from '../temporal/contract.js';
import type { StageName } from '../deployment/stages.js';
import { passing } from '../temporal/options.js';
import { clusterAttribute } from '../temporal/start-options.js';
import { failure, finalFailure } from './failure.js';
import { ensureClusterAttribute, requireInput, requireMeaning } from './input.js';
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
import { handleUpdate } from './updates.js';

/**
 * Brings a cluster to its spec, stage by stage. Each stage observes first and changes only what differs, so a
 * deployment that failed or was cancelled is continued by running it again. Whoever starts it need give it nothing but
 * the spec; started by another ID than the cluster's, it deploys by a child with that ID.
 */
export async function deploy(input: DeployInput): Promise<DeployResult> {
  requireInput<DeployInput>('deploy', input, {
    spec: clusterSpec,
    digest: optional(text),
    seen: optional(map(list(text))),
    purgeRemoved: optional(flag),
  });
  requireMeaning(input.spec);
  const { name } = input.spec;
  ensureClusterAttribute(name);
  const isOwn = workflowInfo().workflowId === workflowIds.deploy(name);
  return isOwn || !patched('deploy-by-its-id') ? await runStages(input) : await deployByItsId(input);
}

/** As a schedule starts it, which adds the time to the ID: the cluster's own ID lets no two deployments run. */
async function deployByItsId(input: DeployInput): Promise<DeployResult> {
  const { name } = input.spec;
  const workflowId = workflowIds.deploy(name);
  setCurrentDetails(`Deploys ${name} by the workflow \`${workflowId}\`.`);
  try {
    return await executeChild<typeof deploy>(workflowNames.deploy, {
      workflowId,
      args: [input],
      staticSummary: `Deploy ${name}`,
      typedSearchAttributes: clusterAttribute(name),
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
      ...passing,
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw finalFailure(error).failure;
    throw failure('DEPLOY_RUNNING', `${workflowId} is running already`, { subject: workflowId });
  }
}

async function runStages({
  spec,
  digest = specDigest(spec),
  seen,
  purgeRemoved = false,
}: DeployInput): Promise<DeployResult> {
  let progress = newProgress(spec.name, digest);

  setHandler(deployProgress, () => progress);
  handleUpdate(
    attachDeploy,
    () => ({ digest }),
    (asked) => {
      if (asked !== digest) {
        throw failure('SPEC_DIFFERS', `a deployment of ${spec.name} with another spec is already running`, {
          subject: spec.name,
        });
      }
    },
  );

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
