import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it, onTestFinished } from 'vitest';
import { ended, identify, isAlive, processStat, signal } from '../../src/lab/processes.js';

it('counts a process as alive while any of its threads runs, though it is shown as a zombie', async () => {
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
