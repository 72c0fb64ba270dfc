import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { withLock } from '../../src/lab/lock.js';

describe('withLock', () => {
  let file: string;
  beforeEach(() => {
    const directory = mkdtempSync(path.join(tmpdir(), 'perijove-lock-'));
    file = path.join(directory, 'lock');
    onTestFinished(() => rmSync(directory, { recursive: true }));
  });

  it('rejects a second holder, and names the first', async () => {
    await withLock(file, {}, async () => {
      await expect(withLock(file, {}, async () => undefined)).rejects.toMatchObject({
        code: 'LAB_BUSY',
        message: expect.stringContaining(`process ${process.pid}`) as string,
      });
    });
    expect(await withLock(file, {}, async () => 'free')).toBe('free');
  });

  it('waits if allowed, one after the other', async () => {
    const order: string[] = [];
    let second: Promise<unknown> = Promise.resolve();
    await withLock(file, {}, async () => {
      const holder = await new Promise<string>((waiting) => {
        second = withLock(file, { waiting }, async () => order.push('second'));
      });
      expect(holder).toContain(`process ${process.pid}`);
      order.push('first');
    });
    await second;
    expect(order).toEqual(['first', 'second']);
  });

  it('stops waiting when aborted', async () => {
    const controller = new AbortController();
    await withLock(file, {}, async () => {
      const second = withLock(
        file,
        { waiting: () => controller.abort(new Error('no longer')), signal: controller.signal },
        async () => undefined,
      );
      await expect(second).rejects.toThrow('no longer');
    });
  });

  it('is released when its holder is killed', async () => {
    const script = `import { withLock } from './src/lab/lock.ts';
      await withLock(process.argv[2], {}, () => { console.log('held'); return new Promise(() => setInterval(() => {}, 1000)); });`;
    const bundle = await (
      await import('esbuild')
    ).build({
      stdin: { contents: script, resolveDir: path.resolve(import.meta.dirname, '../..'), loader: 'ts' },
      bundle: true,
      platform: 'node',
      format: 'esm',
      write: false,
    });
    const holder = spawn(process.execPath, ['--input-type=module', '-', file], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    onTestFinished(() => void holder.kill('SIGKILL'));
    holder.stdin.end(bundle.outputFiles[0]?.text);
    await once(holder.stdout, 'data');
    await expect(withLock(file, {}, async () => undefined)).rejects.toMatchObject({ code: 'LAB_BUSY' });
    holder.kill('SIGKILL');
    await expect.poll(() => withLock(file, {}, async () => 'free').catch(() => 'held')).toBe('free');
  });
});
