import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Where `.ci/run` wants the counts of the run. */
const report = process.env['PERIJOVE_TEST_REPORT'];
const counts: ['json', { outputFile: string }][] =
  report === undefined ? [] : [['json', { outputFile: report }]];

/** Files that take minutes start first; the short ones fill the gaps. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const rank = ({ moduleId }: TestSpecification) => {
      const index = longFiles.findIndex((name) => moduleId.endsWith(name));
      return index < 0 ? longFiles.length : index;
    };
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}

const longFiles = [
  'scheduler/scheduler.host.test.ts',
  'broken/server.host.test.ts',
  'broken/bare-host.host.test.ts',
  'etcd/membership.host.test.ts',
  'workflows/framework.workflow.test.ts',
  'hosts/broken-looks.host.test.ts',
];

export default defineConfig({
  test: {
    // What needs a process of its own mostly waits: two files at a time take half the time, with two cores, too. With
    // more than that, elections and heartbeats are late.
    pool: 'forks',
    poolOptions: { forks: { minForks: 2, maxForks: 2 } },
    sequence: { sequencer: LongestFirst },
    reporters: ['default', ...counts],
    projects: [
      {
        test: {
          name: 'unit',
          pool: 'threads',
          // What is under test is loaded once, not by each file.
          isolate: false,
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.{workflow,e2e,host}.test.ts'],
          // They take milliseconds; a busy machine may hold any of them up.
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        // Real sshd, runit, ZooKeeper, etcd, … as child processes; no whole cluster.
        test: {
          name: 'host',
          include: ['test/**/*.host.test.ts'],
          // What waits for time-outs of Mesos takes half a minute; a busy machine makes it a whole one.
          testTimeout: 120_000,
          hookTimeout: 120_000,
          globalSetup: ['test/support/prerequisites.ts'],
          sequence: { groupOrder: 1 },
        },
      },
      {
        // Workflows on a real Temporal dev server.
        test: {
          name: 'workflow',
          include: ['test/**/*.workflow.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          globalSetup: ['test/support/prerequisites.ts'],
          sequence: { groupOrder: 1 },
        },
      },
      {
        // A whole lab, or servers in containers: ZooKeeper, stand-in Mesos, etcd, sshd, Jupyter, proxies.
        test: {
          name: 'e2e',
          include: ['test/**/*.e2e.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 600_000,
          globalSetup: ['test/support/prerequisites.ts'],
          sequence: { groupOrder: 2 },
          // A whole cluster takes all that there is.
          poolOptions: { forks: { singleFork: true } },
        },
      },
    ],
  },
});
