import type { SpawnSyncReturns } from 'node:child_process';
import type { HostSpec } from '../../src/cluster/spec.js';
import { allProcesses, commandArguments } from '../../src/lab/processes.js';
import type { SshPool } from '../../src/ssh/connection.js';

/** As if over SSH to each host. */
export const poolOf = (run: (script: string) => SpawnSyncReturns<string>) =>
  ({
    get: async (host: HostSpec) => ({
      host,
      exec: async (script: string) => {
        const { status, stdout, stderr } = run(script);
        return { host: host.name, code: status, signal: null, stdout, stderr, durationMs: 0 };
      },
    }),
  }) as unknown as SshPool;

/** The processes that would heal a fault. */
export const timers = ({ id }: { readonly id: string }) =>
  allProcesses().filter(({ pid }) => {
    const [program, option, script = ''] = commandArguments(pid);
    return program === 'sh' && option === '-c' && script.includes(id);
  });
