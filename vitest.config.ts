import { defineConfig } from 'vitest/config';

const serial = { pool: 'forks', poolOptions: { forks: { singleFork: true } } } as const;

/** Where `.ci/run` wants the counts of the run. */
const report = process.env['PERIJOVE_TEST_REPORT'];
const counts: ['json', { outputFile: string }][] =
  report === undefined ? [] : [['json', { outputFile: report }]];

export default defineConfig({
  test: {
    reporters: ['default', ...counts],
    projects: [
      {
        test: {
          name: 'unit',
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
          testTimeout: 60_000,
          hookTimeout: 120_000,
          globalSetup: ['test/support/prerequisites.ts'],
          sequence: { groupOrder: 1 },
          ...serial,
        },
      },
      {
        // Workflows on a real Temporal dev server.
        test: {
          name: 'workflow',
          include: ['test/**/*.workflow.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          globalSetup: ['test/support/prerequisites.ts'],
          sequence: { groupOrder: 2 },
          ...serial,
        },
      },
      {
        // A whole lab: ZooKeeper, stand-in Mesos, etcd, sshd, Jupyter, proxies.
        test: {
          name: 'e2e',
          include: ['test/**/*.e2e.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 600_000,
          globalSetup: ['test/support/prerequisites.ts'],
          sequence: { groupOrder: 3 },
          ...serial,
        },
      },
    ],
  },
});
