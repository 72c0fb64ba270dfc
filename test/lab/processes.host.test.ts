import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it, onTestFinished } from 'vitest';
import {
  ended,
  identified,
  identify,
  isAlive,
  killAll,
  processStat,
  signal,
} from '../../src/lab/processes.js';

it('counts a zombie as alive while any of its threads runs', async () => {
  const script = [
    'import ctypes, threading, time',
    'threading.Thread(target=time.sleep, args=(60,)).start()',
    'print("ready", flush=True)',
    'ctypes.CDLL(None).pthread_exit(None)',
  ];
  const child = spawn('python3', ['-c', script.join('\n')], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  const process = identify(child.pid ?? 0);
  if (!process) throw new Error('it ended');

  await expect.poll(() => processStat(process.pid)?.state).toBe('Z');
  expect(await ended([process], 100)).toBe(false);
  expect(signal(process, 'SIGKILL')).toBe(true);
  await expect.poll(() => isAlive(process)).toBe(false);
});

const sleeper = () => {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  const identity = identify(child.pid ?? 0);
  if (!identity) throw new Error('it ended');
  return identity;
};

it('identifies only processes from before the search: a PID may be reused by its end', () => {
  const there = sleeper();
  let late: number | undefined;
  const { found, young } = identified(() => {
    late = sleeper().pid;
    return [there.pid, late];
  });
  expect(found).toEqual([there]);
  expect(young).toBe(1);
});

it('does not kill a process with the reused PID of one that was found', async () => {
  const marked = sleeper();
  let other: ReturnType<typeof sleeper> | undefined;
  const killed = await killAll(() => {
    if (other) return [];
    // As if it had ended and its PID been reused during the search.
    other = sleeper();
    return [other.pid, marked.pid];
  });
  expect(killed).toEqual([marked]);
  expect(isAlive(marked)).toBe(false);
  expect(other && processStat(other.pid)?.state).toMatch(/[SR]/);
});

it('kills processes started between two searches', async () => {
  const young: ReturnType<typeof sleeper>[] = [];
  const killed = await killAll(() => {
    if (young.length < 2) young.push(sleeper());
    return young.map(({ pid }) => pid);
  });
  expect(killed).toHaveLength(2);
  for (const each of young) expect(isAlive(each)).toBe(false);
});
