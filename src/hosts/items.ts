import type { Install } from '../cluster/spec.js';

/**
 * What a host should have, as data. Subjects (`zookeeper/`, `mesos/`, …) return these values from pure
 * functions; `converge.ts` observes the host, diffs, and acts.
 */
export interface HostItems {
  readonly packages: readonly string[];
  readonly directories: readonly DirectoryItem[];
  readonly archives?: readonly ArchiveItem[];
  readonly files: readonly FileItem[];
  readonly daemons?: readonly DaemonItem[];
  readonly services: readonly ServiceItem[];
  readonly conditions?: readonly ConditionItem[];
}

export interface DirectoryItem {
  readonly path: string;
  /** Octal, such as 0o755; absent: whatever it has. */
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
  /** The Node.js binary that the worker itself runs on. */
  | { readonly kind: 'node' };

export interface ServiceItem {
  /** Unique on the host: `zookeeper`, `mesos-master`, `mesos-agent`, `proxy`. */
  readonly name: string;
  readonly description: string;
  readonly exec: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly workingDirectory?: string;
  readonly openFiles?: number;
  /** A change of one of these files restarts the service. */
  readonly restartOn: readonly string[];
  /** Kill only the service's own process when it stops, not its children (a Mesos agent leaves its tasks). */
  readonly leaveChildren?: boolean;
  /** Another one when the program that `exec` names was replaced, which restarts the service. */
  readonly stamp?: string;
  /** A command that is run each time after the service's process has ended, whatever ended it. */
  readonly afterEnd?: readonly string[];
  /**
   * `defined`: its definition is there and it is left running or stopped, as it is; for a stage that prepares
   * what a later one starts. `running` by default.
   */
  readonly state?: 'defined' | 'running';
  /**
   * Its program does something and ends, and counts as running from then on. It is run after each boot, before the
   * units that are named, and must find its work done when it is run again.
   */
  readonly once?: { readonly before: readonly string[] };
  /** What it is there for, where that can be seen apart from its process. */
  readonly effect?: {
    /** Shell that prints it, and changes nothing. */
    readonly observe: string;
    /** What of it differs from what is wanted, for people; any difference restarts the service. */
    readonly differences: (printed: string) => readonly string[];
    /** Shell that takes it away, for a service that is removed in the same stage that made it. */
    readonly remove?: string;
  };
}

/** A daemon of the distribution, under a unit of its own: running, and started at each boot. */
export interface DaemonItem {
  /** Its unit's name without `.service`. */
  readonly name: string;
  /** Another unit that starts it when somebody asks it something, such as `docker.socket`. */
  readonly activatedBy?: string;
  /** Shell that succeeds when it answers. */
  readonly answers: string;
  /** Shell that prints something while somebody uses it, and fails when that cannot be told. */
  readonly usedBy: string;
}

/** Something that shell alone can see and make, such as a network of Docker's. Looked at last. */
export interface ConditionItem {
  /** One word, unique on the host. */
  readonly name: string;
  /** Shell that prints what there is, and changes nothing. */
  readonly observe: string;
  /** What is to be done so that it holds; nothing when it does. May refuse with a PerijoveError. */
  readonly actions: (printed: string) => readonly Action[];
}

/** One thing to do, for people before and after it, and as shell that may be run again. */
export interface Action {
  readonly plan: string;
  readonly done: string;
  readonly script: string;
  /** Shell that takes it back, where that can be. */
  readonly undo?: string;
}

/** An archive that is unpacked on the host, without its top directory. */
export interface ArchiveItem {
  /** Of a tar archive: http, https or file, as the worker reaches it. */
  readonly url: string;
  readonly sha256: string;
  /** The directory that it becomes. */
  readonly path: string;
}

/** One thing that was changed on a host, for people: `wrote /opt/perijove/etc/zoo.cfg`, `restarted zookeeper`. */
export interface Change {
  readonly host: string;
  readonly what: string;
}

export const noItems: HostItems = { packages: [], directories: [], files: [], services: [] };

/** The archive that an installation unpacks to `path`; nothing for the other kinds. */
export function archivesOf(install: Install, path: string): Pick<HostItems, 'archives'> {
  return install.kind === 'tarball' ? { archives: [{ url: install.url, sha256: install.sha256, path }] } : {};
}

export function mergeItems(...parts: readonly HostItems[]): HostItems {
  return {
    packages: [...new Set(parts.flatMap((part) => part.packages))],
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

/** Masters and agents come in one archive, and nodes and Mesos run in one Docker. */
function uniqueBy<T>(values: readonly T[], key: (value: T) => string): T[] {
  return [...new Map(values.map((value) => [key(value), value])).values()];
}
