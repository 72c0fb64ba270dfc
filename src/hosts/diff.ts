import type { DaemonStatus } from './daemons.js';
import { pinnedDiffers } from './pinned.js';
import type { RenderedFile, ServiceStatus } from './init.js';
import type {
  Action,
  ArchiveItem,
  ConditionItem,
  DaemonItem,
  DirectoryItem,
  FileItem,
  PinnedItem,
  ServiceItem,
} from './items.js';
import { describeDifference, recordDifference, recordOf } from './record.js';

/** The desired state of a host, with all checksums computed. */
export interface WantedState {
  readonly packages: readonly string[];
  readonly pinned: readonly PinnedItem[];
  readonly directories: readonly DirectoryItem[];
  /** Directories that must exist, with any mode. */
  readonly parents: readonly string[];
  readonly archives: readonly WantedArchive[];
  readonly files: readonly WantedFile[];
  readonly daemons: readonly DaemonItem[];
  readonly services: readonly WantedService[];
  readonly conditions: readonly ConditionItem[];
}

export interface WantedArchive {
  readonly archive: ArchiveItem;
  /** A file that exists once the archive is unpacked, and its checksum. */
  readonly marker: string;
  readonly sha256: string;
}

export interface WantedFile extends FileItem {
  readonly sha256: string;
}

export interface WantedService {
  readonly item: ServiceItem;
  readonly files: readonly WantedDefinition[];
}

export interface WantedDefinition extends RenderedFile {
  readonly sha256: string;
}

/** The observed state of a host, limited to what was requested. Missing paths are in no map. */
export interface ObservedState {
  readonly packages: ReadonlySet<string>;
  /** An installation by Perijove is running, or was killed and left cleanup to do. */
  readonly unfinishedInstallation: boolean;
  /** Permission bits by path. */
  readonly directories: ReadonlyMap<string, number>;
  readonly files: ReadonlyMap<string, { readonly mode: number; readonly sha256: string }>;
  readonly daemons: ReadonlyMap<string, DaemonStatus>;
  readonly services: readonly ServiceStatus[];
  /** Output of `observe` of service effects and conditions, by `seenKey`. */
  readonly seen: ReadonlyMap<string, string>;
}

/** Key of the observed output of a service's effect or a condition. */
export function seenKey(kind: 'service' | 'condition' | 'package', name: string): string {
  return `${kind}/${name}`;
}

/** One step on a host. `diff` returns steps in the order of execution. */
export type Step =
  | { readonly kind: 'install-packages'; readonly packages: readonly string[] }
  | { readonly kind: 'pin-package'; readonly item: PinnedItem }
  | { readonly kind: 'make-directory'; readonly path: string; readonly mode?: number }
  | { readonly kind: 'set-mode'; readonly path: string; readonly mode: number }
  | { readonly kind: 'unpack-archive'; readonly archive: ArchiveItem }
  | { readonly kind: 'write-file'; readonly file: WantedFile }
  | { readonly kind: 'start-daemon'; readonly daemon: DaemonItem }
  | { readonly kind: 'enable-daemon'; readonly daemon: DaemonItem }
  | { readonly kind: 'define-service'; readonly service: ServiceItem; readonly isNew: boolean }
  | { readonly kind: 'start-service'; readonly name: string }
  | {
      readonly kind: 'restart-service';
      readonly name: string;
      readonly because: readonly string[];
      /** The service had finished: running it again interrupts nothing. */
      readonly once?: true;
    }
  | { readonly kind: 'reload-service'; readonly service: ServiceItem; readonly because: readonly string[] }
  | { readonly kind: 'act'; readonly action: Action };

/**
 * The steps that bring a host to its desired state; none if it already matches. A service is restarted if the
 * record of its start differs from what it would be started with now, regardless of who made the change.
 */
export function diff(wanted: WantedState, observed: ObservedState): Step[] {
  return [
    ...packageSteps(wanted, observed),
    ...wanted.pinned
      .filter((item) => pinnedDiffers(item, observed.seen.get(seenKey('package', item.name)) ?? ''))
      .map((item): Step => ({ kind: 'pin-package', item })),
    ...directorySteps(wanted, observed),
    ...wanted.archives.flatMap((archive) => archiveSteps(archive, observed)),
    ...wanted.files.flatMap((file) => fileSteps(file, observed)),
    ...wanted.daemons.flatMap((daemon) => daemonSteps(daemon, observed)),
    // All definitions first, so that runit finds all new services in one scan.
    ...wanted.services.flatMap((service) => definitionSteps(service, observed)),
    ...wanted.services.flatMap((service) => runSteps(service, wanted, observed)),
    ...wanted.conditions.flatMap((condition) => conditionSteps(condition, observed)),
  ];
}

function packageSteps(wanted: WantedState, observed: ObservedState): Step[] {
  const packages = wanted.packages.filter((name) => !observed.packages.has(name));
  return packages.length === 0 && !observed.unfinishedInstallation
    ? []
    : [{ kind: 'install-packages', packages }];
}

function directorySteps(wanted: WantedState, observed: ObservedState): Step[] {
  const modes = new Map<string, number | undefined>(wanted.parents.map((path) => [path, undefined]));
  for (const { path, mode } of wanted.directories) modes.set(path, mode);
  return [...modes]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([path, mode]): Step[] => {
      const has = observed.directories.get(path);
      if (has === undefined)
        return [{ kind: 'make-directory', path, ...(mode === undefined ? {} : { mode }) }];
      return mode === undefined || has === mode ? [] : [{ kind: 'set-mode', path, mode }];
    });
}

function archiveSteps({ archive, marker, sha256 }: WantedArchive, observed: ObservedState): Step[] {
  return observed.files.get(marker)?.sha256 === sha256 ? [] : [{ kind: 'unpack-archive', archive }];
}

function fileSteps(file: WantedFile, observed: ObservedState): Step[] {
  const has = observed.files.get(file.path);
  if (has?.sha256 !== file.sha256) return [{ kind: 'write-file', file }];
  return has.mode === file.mode ? [] : [{ kind: 'set-mode', path: file.path, mode: file.mode }];
}

function daemonSteps(daemon: DaemonItem, observed: ObservedState): Step[] {
  const has = observed.daemons.get(daemon.name);
  if (has?.answers !== true) return [{ kind: 'start-daemon', daemon }];
  return has.boots ? [] : [{ kind: 'enable-daemon', daemon }];
}

function definitionSteps({ item, files }: WantedService, observed: ObservedState): Step[] {
  const isNew = stateOf(item, observed) === 'absent';
  const defined = files.every(({ path, mode, sha256 }) => {
    const has = observed.files.get(path);
    return has?.sha256 === sha256 && has.mode === mode;
  });
  return defined && !isNew ? [] : [{ kind: 'define-service', service: item, isNew }];
}

function runSteps({ item }: WantedService, wanted: WantedState, observed: ObservedState): Step[] {
  const { name } = item;
  if (item.state === 'defined') return [];
  const state = stateOf(item, observed);
  if (state === 'absent' || state === 'stopped') return [{ kind: 'start-service', name }];

  const record = recordOf(item, (path) => {
    const file = wanted.files.find((each) => each.path === path);
    return file?.sha256 ?? observed.files.get(path)?.sha256 ?? 'absent';
  });
  const running = observed.services.find((service) => service.name === name)?.record ?? '';
  const changed = recordDifference(running, record);
  const because =
    running === record
      ? (item.effect?.differences(observed.seen.get(seenKey('service', name)) ?? '') ?? [])
      : changed.map(describeDifference);
  if (running === record && because.length === 0) return [];
  const reloads = changed.length > 0 && changed.every((path) => item.reloadOn?.includes(path));
  if (reloads && state === 'running') return [{ kind: 'reload-service', service: item, because }];
  const once = item.once === undefined ? {} : ({ once: true } as const);
  return [{ kind: 'restart-service', name, because, ...once }];
}

function conditionSteps({ name, actions }: ConditionItem, observed: ObservedState): Step[] {
  return actions(observed.seen.get(seenKey('condition', name)) ?? '').map((action) => ({
    kind: 'act',
    action,
  }));
}

function stateOf(item: ServiceItem, observed: ObservedState): ServiceStatus['state'] {
  return observed.services.find((service) => service.name === item.name)?.state ?? 'absent';
}

/** A readable description of the step, as planned or done. */
export function describeStep(step: Step, tense: 'plan' | 'done'): string {
  const verb = (plan: string, done: string) => (tense === 'plan' ? plan : done);
  switch (step.kind) {
    case 'install-packages':
      return step.packages.length === 0
        ? `${verb('finish', 'finished')} an interrupted installation of packages`
        : `${verb('install', 'installed')} ${step.packages.join(', ')}`;
    case 'pin-package': {
      const { name, version, apt } = step.item;
      const from = apt === undefined ? '' : ` from ${apt.source}`;
      return `${verb('install', 'installed')} ${name} ${version}${from}, on hold`;
    }
    case 'make-directory':
      return `${verb('make', 'made')} ${step.path}`;
    case 'set-mode':
      return `${verb('set', 'set')} the mode of ${step.path} to ${step.mode.toString(8)}`;
    case 'unpack-archive':
      return `${verb('unpack', 'unpacked')} ${step.archive.url} to ${step.archive.path}`;
    case 'write-file':
      return `${verb('write', 'wrote')} ${step.file.path}`;
    case 'start-daemon':
      return `${verb('start', 'started')} ${step.daemon.name}`;
    case 'enable-daemon':
      return `${verb('enable', 'enabled')} ${step.daemon.name} at boot`;
    case 'define-service':
      return `${step.isNew ? verb('define', 'defined') : verb('redefine', 'redefined')} ${step.service.name}`;
    case 'start-service':
      return `${verb('start', 'started')} ${step.name}`;
    case 'restart-service': {
      const what = step.once
        ? `${verb('run', 'ran')} ${step.name} again`
        : `${verb('restart', 'restarted')} ${step.name}`;
      return withReasons(what, step.because);
    }
    case 'reload-service':
      return withReasons(`${verb('reload', 'reloaded')} ${step.service.name}`, step.because);
    case 'act':
      return step.action[tense];
  }
}

function withReasons(what: string, because: readonly string[]): string {
  return because.length === 0 ? what : `${what} (${because.join(', ')})`;
}
