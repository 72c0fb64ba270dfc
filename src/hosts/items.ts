import type { AptSource, Install } from '../cluster/spec.js';

/**
 * The desired state of a host, as data. Subjects (`zookeeper/`, `mesos/`, …) return it from pure functions;
 * `converge.ts` observes the host, computes the differences and applies them.
 */
export interface HostItems {
  readonly packages: readonly string[];
  /** Those of the packages that must have one version. */
  readonly pinned?: readonly PinnedItem[];
  readonly directories: readonly DirectoryItem[];
  readonly archives?: readonly ArchiveItem[];
  readonly files: readonly FileItem[];
  readonly daemons?: readonly DaemonItem[];
  readonly services: readonly ServiceItem[];
  readonly conditions?: readonly ConditionItem[];
}

/** A package that is installed in one version and held. */
export interface PinnedItem {
  readonly name: string;
  readonly version: string;
  /** Where it comes from, if not from the sources that the host has. */
  readonly apt?: AptSource;
  /** Name of the cluster, part of the names of apt's files. */
  readonly cluster: string;
}

export interface DirectoryItem {
  readonly path: string;
  /** Octal, such as 0o755; absent to keep any mode. */
  readonly mode?: number;
}

export interface FileItem {
  readonly path: string;
  readonly mode: number;
  readonly source: FileSource;
}

export type FileSource =
  | { readonly kind: 'text'; readonly text: string }
  /** A file of this package's `dist/programs`, such as `proxy.mjs`. */
  | { readonly kind: 'program'; readonly name: string }
  /** The Node.js binary that the worker runs on. */
  | { readonly kind: 'node' }
  /** A key and its certificate, from two files of the worker's machine, in one. */
  | { readonly kind: 'certificate'; readonly certificateFile: string; readonly keyFile: string };

export interface ServiceItem {
  /** Unique on the host: `zookeeper`, `mesos-master`, `mesos-agent`, `proxy`. */
  readonly name: string;
  readonly description: string;
  readonly exec: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly workingDirectory?: string;
  readonly openFiles?: number;
  /** A change to one of these files restarts the service. */
  readonly restartOn: readonly string[];
  /**
   * A change to one of these files only reloads the service: it gets SIGHUP, and has taken the files over when it has
   * copied the file that PERIJOVE_RELOAD names to the same name with `.done`. One that does not is restarted.
   */
  readonly reloadOn?: readonly string[];
  /** On stop, kill only the service's main process, not its children (a Mesos agent leaves its tasks). */
  readonly leaveChildren?: boolean;
  /** Changes when the program in `exec` is replaced, which restarts the service. */
  readonly stamp?: string;
  /** A command to run after each exit of the service's process, whatever the cause. */
  readonly afterEnd?: readonly string[];
  /**
   * `defined`: only the definition is installed; the service stays running or stopped, as it is. For a stage
   * that prepares what a later one starts. `running` by default.
   */
  readonly state?: 'defined' | 'running';
  /**
   * The program does its work and exits; the service then counts as running. It runs after each boot, before
   * the named units, and must be idempotent.
   */
  readonly once?: { readonly before: readonly string[] };
  /** The effect of the service, if it can be observed apart from its process. */
  readonly effect?: {
    /** Shell that prints the effect and changes nothing. */
    readonly observe: string;
    /** Differences from the desired effect, as text; any difference restarts the service. */
    readonly differences: (printed: string) => readonly string[];
    /** Shell that removes the effect, for a service that is removed in the same stage that created it. */
    readonly remove?: string;
  };
}

/** A daemon of the distribution with its own unit: running, and started at each boot. */
export interface DaemonItem {
  /** Name of its unit without `.service`. */
  readonly name: string;
  /** Another unit that starts it on demand, such as `docker.socket`. */
  readonly activatedBy?: string;
  /** Shell that succeeds if the daemon responds. */
  readonly answers: string;
  /** Shell that prints something while the daemon is in use, and fails if that is unknown. */
  readonly usedBy: string;
}

/** Something that only shell can observe and create, such as a Docker network. Checked last. */
export interface ConditionItem {
  /** One word, unique on the host. */
  readonly name: string;
  /** Shell that prints the current state and changes nothing. */
  readonly observe: string;
  /** The actions that make the condition hold; none if it holds. May refuse with a PerijoveError. */
  readonly actions: (printed: string) => readonly Action[];
}

/** One action: its description before and after, and shell that may run again. */
export interface Action {
  readonly plan: string;
  readonly done: string;
  readonly script: string;
  /** Shell that reverts the action, if possible. */
  readonly undo?: string;
}

/** An archive to unpack on the host, without its top directory. */
export interface ArchiveItem {
  /** URL of a tar archive: http, https or file, as the worker reaches it. */
  readonly url: string;
  readonly sha256: string;
  /** The directory to unpack it to. */
  readonly path: string;
}

/** A change that was made on a host, as text: `wrote /opt/perijove/etc/zoo.cfg`, `restarted zookeeper`. */
export interface Change {
  readonly host: string;
  readonly what: string;
}

export const noItems: HostItems = { packages: [], directories: [], files: [], services: [] };

/** The archive that an installation unpacks to `path`; none for the other kinds. */
export function archivesOf(install: Install, path: string): Pick<HostItems, 'archives'> {
  return install.kind === 'tarball' ? { archives: [{ url: install.url, sha256: install.sha256, path }] } : {};
}

export function mergeItems(...parts: readonly HostItems[]): HostItems {
  return {
    packages: [...new Set(parts.flatMap((part) => part.packages))],
    pinned: uniqueBy(
      parts.flatMap((part) => part.pinned ?? []),
      ({ name }) => name,
    ),
    directories: parts.flatMap((part) => part.directories),
    archives: uniqueBy(
      parts.flatMap((part) => part.archives ?? []),
      ({ path }) => path,
    ),
    files: parts.flatMap((part) => part.files),
    daemons: uniqueBy(
      parts.flatMap((part) => part.daemons ?? []),
      ({ name }) => name,
    ),
    services: parts.flatMap((part) => part.services),
    conditions: parts.flatMap((part) => part.conditions ?? []),
  };
}

/** Masters and agents share one archive; nodes and Mesos share one Docker. */
function uniqueBy<T>(values: readonly T[], key: (value: T) => string): T[] {
  return [...new Map(values.map((value) => [key(value), value])).values()];
}
