import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { stopLab } from '../../src/lab/down.js';
import { identify, isAlive } from '../../src/lab/processes.js';
import { labMarker } from '../../src/lab/state.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'perijove-down-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const write = (...names: readonly string[]) => {
  for (const name of names) {
    mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
    writeFileSync(path.join(directory, name), 'precious');
  }
};
const purge = () => stopLab({ stateDir: directory, purge: true, report: () => undefined });

describe('a purge', () => {
  it('refuses a directory without a lab, and changes nothing there', async () => {
    write('notebooks/mine.ipynb', 'hosts/mine', 'letter.txt');
    const child = spawn('sleep', ['1000'], {
      stdio: 'ignore',
      env: { ...process.env, [labMarker]: directory },
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const running = identify(child.pid ?? 0);
    await expect(purge()).rejects.toMatchObject({ code: 'LAB_ABSENT', place: { subject: directory } });
    expect(readdirSync(directory).toSorted()).toEqual(['hosts', 'letter.txt', 'notebooks']);
    expect(existsSync(path.join(directory, 'notebooks', 'mine.ipynb'))).toBe(true);
    expect(running && isAlive(running)).toBe(true);
  });

  it('removes a lab with an unreadable record', async () => {
    write('lab.json', 'notebooks/of-the-lab.ipynb', 'lab.json.4711');
    await purge();
    expect(existsSync(directory)).toBe(false);
  });

  it('removes leftovers of a start that was killed before it wrote a record', async () => {
    write('lock', 'cluster.yaml.12');
    await purge();
    expect(existsSync(directory)).toBe(false);
  });

  it('keeps files not created by the lab, and names the directory', async () => {
    write('lab.json', 'notebooks/of-the-lab.ipynb', 'letter.txt');
    await expect(purge()).rejects.toMatchObject({ code: 'LAB_REMAINS', place: { subject: directory } });
    expect(readdirSync(directory)).toEqual(['letter.txt']);
  });
});
