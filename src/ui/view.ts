/** What the status page is given: plain JSON, made by the server, read by the page. Types alone. */
import type { Role } from '../cluster/spec.js';
import type { ClusterStatus } from '../status/cluster-status.js';
import type { Silence } from './silences.js';
import type { Moment } from './timeline.js';

export interface ViewHost {
  readonly name: string;
  readonly address: string;
  readonly roles: readonly Role[];
  /** Where its Mesos master shows its page; absent without that role. */
  readonly mesosUrl?: string;
  /** Port for users. */
  readonly port: number;
}

export interface ViewNode {
  readonly name: string;
  readonly address: string;
}

export interface ClusterView {
  readonly status: ClusterStatus;
  /** Sentences without their full stop, root causes first. */
  readonly reasons: readonly string[];
  readonly hosts: readonly ViewHost[];
  readonly nodes: readonly ViewNode[];
  /** Newest first. */
  readonly moments: readonly Moment[];
  /** What does not answer. */
  readonly silences: readonly Silence[];
  readonly links: {
    /** Temporal's Web UI at the namespace of the cluster, without a slash at its end; null if none is known. */
    readonly temporal: string | null;
  };
  /** Of the program that shows the page. */
  readonly version: string;
}

/** The data of the events that `/api/events` sends. */
export interface ViewEvents {
  /** The cluster has changed; sent at first, too. */
  readonly view: { readonly observedAt: string; readonly view: ClusterView };
  /** It was observed again, and is as before. */
  readonly same: { readonly observedAt: string };
  /** It could not be observed. */
  readonly failed: { readonly since: string; readonly why: string };
}
