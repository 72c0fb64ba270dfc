import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { createEtcdClient } from '../../etcd/client.js';
import { beginningFlags, type MemberSettings } from '../../etcd/command.js';
import type { SeedSource } from '../../etcd/decide.js';
import { messageOf } from '../../errors/error.js';

const loopback = '127.0.0.1';
const againMs = 200;
/** It opens its data, becomes the only member and elects itself: a second, and a minute on a slow machine. */
const patienceMs = 120_000;

/**
 * Begins an epoch: runs etcd as the only member of its cluster, out of the reach of others, until its data hold the
 * epoch; then ends it. Nobody can join before that, or take it for the quorum of an earlier epoch. May be repeated
 * after any interruption. Rejects if etcd ends before, or does not respond in time.
 */
export async function beginEpoch(
  program: readonly string[],
  settings: MemberSettings,
  from: SeedSource,
  epoch: number,
): Promise<void> {
  const [port, peerPort] = await Promise.all([freePort(), freePort()]);
  const flags = beginningFlags(settings, from, epoch, {
    client: `http://${loopback}:${port}`,
    peer: `http://${loopback}:${peerPort}`,
  });
  const [command = '', ...before] = program;
  const etcd = spawn(command, [...before, ...flags], { stdio: ['ignore', 'inherit', 'inherit'] });
  const ended = endOf(etcd);
  const client = createEtcdClient({ host: loopback, port }, { deadlineMs: 2_000 });
  try {
    const until = performance.now() + patienceMs;
    for (;;) {
      const failure = await client.raiseEpoch(epoch).then(() => undefined, messageOf);
      if (failure === undefined) return;
      if (etcd.exitCode !== null || etcd.signalCode !== null || etcd.pid === undefined) {
        throw new Error(`etcd could not begin epoch ${epoch}: ${await ended}`);
      }
      if (performance.now() > until) throw new Error(`etcd did not begin epoch ${epoch}: ${failure}`);
      await delay(againMs);
    }
  } finally {
    client.close();
    etcd.kill('SIGTERM');
    await ended;
  }
}

async function endOf(child: ChildProcess): Promise<string> {
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
    return `it ended with ${signal ?? `code ${code ?? '?'}`}`;
  } catch (error) {
    return messageOf(error);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, loopback);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
