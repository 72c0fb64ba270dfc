import { execFile } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { userScript, userText } from '../../src/hosts/user-facts.js';

const user = { uid: 60_801, gid: 60_801 };
let dir: string;
let notebooks: string;

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'perijove-user-facts-'));
  notebooks = path.join(dir, 'notebooks');
});

afterEach(() => rm(dir, { recursive: true, force: true }));

/** What root finds for the user. */
async function found(): Promise<string[]> {
  const say = 'say() { [ -z "$2" ] || printf \'%s %s\\n\' "$1" "$2"; }';
  const places = { notebooks, trees: `${dir}/nodes`, last: `${dir}/nodes-user` };
  const script = userScript({ ...user, processes: false, ...places });
  const { stdout } = await promisify(execFile)('sh', ['-c', `${say}\n${script}`]);
  return stdout.split('\n').filter((line) => line !== '');
}

describe.runIf(process.getuid?.() === 0)('userScript', () => {
  it('finds nothing where there are no notebooks yet', async () => {
    expect(await found()).toEqual([]);
    await mkdir(notebooks);
    expect(await found()).toEqual([]);
  });

  it('finds a directory with notebooks in which the user can make none', async () => {
    await mkdir(notebooks);
    await writeFile(`${notebooks}/a.ipynb`, '{}');
    expect(await found()).toEqual([`foreign ${notebooks}/.`]);
    await chmod(notebooks, 0o777);
    expect(await found()).toEqual([]);
  });

  it('finds what nodes have left that ran as another user, until the user was noted', async () => {
    await mkdir(`${notebooks}/below`, { recursive: true });
    await mkdir(`${dir}/nodes/node0`, { recursive: true });
    await chown(notebooks, user.uid, user.gid);
    await chown(`${notebooks}/below`, user.uid, user.gid);
    await symlink('/etc/passwd', `${notebooks}/link`);
    expect(await found()).toEqual([]);
    await writeFile(`${notebooks}/below/a\nuid 0`, '{}');
    expect(await found()).toEqual([`foreign ${notebooks}/./below/a?uid 0`]);
    await writeFile(`${dir}/nodes-user`, '0:0\n');
    expect(await found()).toHaveLength(1);
    await writeFile(`${dir}/nodes-user`, userText(user));
    expect(await found()).toEqual([]);
  });

  it('says that it is not known where find(1) fails', async () => {
    await mkdir(notebooks);
    await writeFile(`${notebooks}/a.ipynb`, '{}');
    await mkdir(`${dir}/bin`);
    await writeFile(`${dir}/bin/find`, '#!/bin/sh\n', { mode: 0o755 });
    const { PATH } = process.env;
    process.env['PATH'] = `${dir}/bin:${PATH}`;
    try {
      expect(await found()).toEqual([`foreign-unknown ${notebooks} was not read within 40 s`]);
    } finally {
      process.env['PATH'] = PATH;
    }
  });
});
