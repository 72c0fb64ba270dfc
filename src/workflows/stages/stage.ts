import type { LeavingHost } from '../../deployment/leaving.js';
import type { HostSurvey } from '../../deployment/host-survey.js';
import type { Change } from '../../hosts/items.js';
import type { CheckedIdentity } from '../../activities/identity.js';
import type { HostKeys } from '../../cluster/host-keys.js';
import type { ClusterIdentity } from '../../cluster/identity.js';
import type { ClusterSpec, HostSpec } from '../../cluster/spec.js';
import type { StageName } from '../../deployment/stages.js';

/** One step of a deployment. */
export interface Stage {
  readonly name: StageName;
  /** What it does, as shown in the Web UI. */
  readonly title: string;
  /** Why this spec gives it nothing to do; undefined when it has something to do. */
  skip?(spec: ClusterSpec, deployment: Pick<Deployment, 'leaving'>): string | undefined;
  /** Resolves to its changes when the stage's promise holds. */
  run(deployment: Deployment): Promise<readonly Change[]>;
  /** For operators: what holds after a stage that changes nothing and only verifies. */
  proof?(spec: ClusterSpec, deployment: Pick<Deployment, 'checked'>): string;
}

/** What the stages of one deployment share. */
export interface Deployment {
  /** With the keys of the hosts, once preflight knows them. */
  spec: ClusterSpec;
  /** The keys of hosts that the command line has seen. */
  readonly seen: HostKeys | undefined;
  /** The hosts of the cluster that the spec no longer contains, as preflight found them. */
  leaving: readonly LeavingHost[];
  /** The spec with those hosts, without roles. */
  readonly whole: ClusterSpec;
  /** Remove data, secrets and logs of those hosts. */
  readonly purgeRemoved: boolean;
  /** As preflight found it; undefined in a deployment that an earlier release began. */
  checked: CheckedIdentity | undefined;
  /** Undefined before all hosts are marked with it. */
  identity: ClusterIdentity | undefined;
  /** What preflight found on the hosts. */
  surveys: readonly HostSurvey[];
  /** Hosts that got secrets in this deployment. */
  gotSecrets: ReadonlySet<string>;
  /** The hosts that a stage has work on. */
  pending(stage: StageName): readonly HostSpec[];
  /** Reports what the running stage is doing. */
  note(text: string): void;
}

/** The change that a workflow could not be replayed by this release, and was started again. */
export function restarted(workflow: string): string {
  return `started the ${workflow} again from its stored state: its history does not fit this release`;
}
