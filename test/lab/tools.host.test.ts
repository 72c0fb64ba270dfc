/** Real pip, with packages of this test and without an index. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { installTools, type ToolsPlan } from '../../src/lab/tools.js';

type OwnPlan = Extract<ToolsPlan, { kind: 'own' }>;

/** Writes `NAME-1.0-py3-none-any.whl`, which installs `bin/PROGRAM` and needs other packages. */
const makeWheel = `
import sys, zipfile
directory, name, program, text, *needs = sys.argv[1:]
info = f'{name}-1.0.dist-info'
with zipfile.ZipFile(f'{directory}/{name}-1.0-py3-none-any.whl', 'w') as wheel:
    script = zipfile.ZipInfo(f'{name}-1.0.data/scripts/{program}')
    script.external_attr = 0o100755 << 16
    wheel.writestr(script, text)
    wheel.writestr(f'{info}/WHEEL', 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr(f'{info}/METADATA', ''.join([f'Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n', *[f'Requires-Dist: {each}\\n' for each in needs]]))
    wheel.writestr(f'{info}/RECORD', '')
`;

const server = '#!/bin/sh\necho ran >> "$0.ran"\n';
const sha256 = (content: string | Buffer) => createHash('sha256').update(content).digest('hex');

let scratch: string;
let plan: OwnPlan;

function wheel(name: string, program: string, text: string, ...needs: string[]): string {
  execFileSync('python3', ['-c', makeWheel, scratch, name, program, text, ...needs]);
  return path.join(scratch, `${name}-1.0-py3-none-any.whl`);
}

const pinned = (name: string, file: string) => `${name}==1.0 --hash=sha256:${sha256(readFileSync(file))}\n`;

beforeEach(() => {
  scratch = mkdtempSync(path.join(tmpdir(), 'perijove-tools-'));
  vi.stubEnv('PIP_NO_INDEX', '1');
  vi.stubEnv('PIP_FIND_LINKS', scratch);
  const file = path.join(scratch, 'requirements.txt');
  const wheels = {
    jupyter: wheel('jupyter', 'jupyter-lab', '#!/bin/sh\n'),
    temporal: wheel('temporal', 'temporal', server),
  };
  writeFileSync(
    file,
    Object.entries(wheels)
      .map(([name, content]) => pinned(name, content))
      .join(''),
  );
  plan = {
    kind: 'own',
    directory: path.join(scratch, 'tools'),
    packages: ['jupyter==1.0', 'temporal==1.0'],
    files: [file],
    temporal: { kind: 'installed', sha256: sha256(server) },
  };
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(scratch, { recursive: true, force: true });
});

const install = (changed: Partial<OwnPlan> = {}) =>
  installTools({ ...plan, ...changed }, () => undefined, new AbortController().signal);

describe('installTools', () => {
  it('installs what has the expected hashes, and runs nothing of it', async () => {
    const { temporal, jupyterLab } = await install();
    expect([temporal, jupyterLab].every((file) => existsSync(file))).toBe(true);
    expect(existsSync(`${temporal}.ran`)).toBe(false);
  });

  it('refuses a package with another hash', async () => {
    wheel('temporal', 'temporal', `${server}# changed since\n`);
    await expect(install()).rejects.toMatchObject({
      code: 'PROGRAM_CHECKSUM',
      message: expect.stringContaining('temporal==1.0') as string,
    });
    expect(existsSync(plan.directory)).toBe(false);
  });

  it('refuses what a package needs and the file does not list', async () => {
    const changed = wheel('temporal', 'temporal', server, 'other');
    wheel('other', 'other', '#!/bin/sh\n');
    const [file = ''] = plan.files;
    const others = readFileSync(file, 'utf8').replace(/temporal==.*\n/, '');
    writeFileSync(file, `${others}${pinned('temporal', changed)}`);
    await expect(install()).rejects.toMatchObject({
      code: 'PREREQUISITES_FAILED',
      message: expect.stringContaining('other') as string,
    });
  });

  it('refuses a package that would have to be built', async () => {
    const source = path.join(scratch, 'other-1.0.tar.gz');
    execFileSync('tar', ['-czf', source, '-C', scratch, 'requirements.txt']);
    appendFileSync(plan.files[0] ?? '', pinned('other', source));
    await expect(install()).rejects.toMatchObject({
      code: 'PREREQUISITES_FAILED',
      message: expect.stringContaining('other==1.0') as string,
    });
  });

  it('refuses a Temporal server with another checksum, and keeps nothing of it', async () => {
    await expect(
      install({ temporal: { kind: 'installed', sha256: sha256('another server') } }),
    ).rejects.toMatchObject({
      code: 'PROGRAM_CHECKSUM',
      message: expect.stringContaining(sha256(server)) as string,
    });
    expect(existsSync(plan.directory)).toBe(false);
  });

  it('downloads nothing for a machine without a checksum of the Temporal server', async () => {
    const lines: string[] = [];
    const unknown: ToolsPlan = { ...plan, temporal: { kind: 'installed', sha256: undefined } };
    await expect(
      installTools(unknown, (line) => lines.push(line), new AbortController().signal),
    ).rejects.toMatchObject({ code: 'PROGRAM_CHECKSUM' });
    expect(lines).toEqual([]);
  });
});
