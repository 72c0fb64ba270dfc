/**
 * Which versions are out of support or have a fault that matters here. Pure; each entry names its source, and what no
 * entry covers is not known.
 */

export const parts = [
  'perijove',
  'worker',
  'temporal',
  'zookeeper',
  'mesos',
  'etcd',
  'jupyterlab',
  'node.js',
  'docker',
] as const;

export type Part = (typeof parts)[number];

export interface Support {
  /** False: out of support, or with a known fault. Null: not known. */
  readonly supported: boolean | null;
  readonly note: string | null;
}

interface Entry {
  readonly applies: (version: readonly number[]) => boolean;
  readonly note: string;
}

const before =
  (...limit: readonly number[]) =>
  (version: readonly number[]) =>
    compared(version, limit) < 0;
const line =
  (...prefix: readonly number[]) =>
  (version: readonly number[]) =>
    prefix.every((number, index) => version[index] === number);
const both =
  (...all: readonly Entry['applies'][]): Entry['applies'] =>
  (version) =>
    all.every((each) => each(version));

const staleReads =
  'a leader that was paused may answer linearizable reads from the past (etcd issue 20418; fixed in 3.4.42, 3.5.28 and 3.6.9)';

const entries: Readonly<Partial<Record<Part, readonly Entry[]>>> = {
  // etcd.io/docs: the two newest minor releases are supported; github.com/etcd-io/etcd/issues/20418
  etcd: [
    { applies: before(3, 5), note: 'etcd 3.4 and older are out of support since June 2026' },
    { applies: before(3, 4, 42), note: staleReads },
    { applies: both(line(3, 5), before(3, 5, 28)), note: staleReads },
    { applies: both(line(3, 6), before(3, 6, 9)), note: staleReads },
  ],
  // docs.temporal.io/worker-versioning
  temporal: [{ applies: before(1, 28), note: 'servers before 1.28 have no worker versioning' }],
  // attic.apache.org/projects/mesos.html; 1.11 may be Clusterd
  mesos: [{ applies: before(1, 11), note: 'Apache Mesos retired on 2025-08-20' }],
  // zookeeper.apache.org/releases.html
  zookeeper: [
    { applies: before(3, 8), note: 'ZooKeeper 3.7 and older are out of support since February 2024' },
  ],
  // github.com/nodejs/release
  'node.js': [{ applies: before(21), note: 'Node.js 20 and older are out of support since 2026-04-30' }],
  // blog.jupyter.org: JupyterLab 3 reached the end of its maintenance on 2024-05-15
  jupyterlab: [{ applies: before(4), note: 'JupyterLab 3 and older are out of support since 2024-05-15' }],
};

/** What is known of a version such as `3.4.23`, `v20.20.2` or `3.8.0-6c5dbd8, built on …`. */
export function supportOf(part: Part, version: string | null): Support {
  const [text] = /\d+(?:\.\d+)*/.exec(version ?? '') ?? [];
  if (text === undefined) return { supported: null, note: null };
  const numbers = text.split('.').map(Number);
  const notes = (entries[part] ?? []).filter(({ applies }) => applies(numbers)).map(({ note }) => note);
  return notes.length === 0 ? { supported: null, note: null } : { supported: false, note: notes.join('; ') };
}

function compared(a: readonly number[], b: readonly number[]): number {
  const length = Math.max(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
