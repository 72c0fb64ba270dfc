import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { wholeFiles } from '../../src/jupyter/saving.js';
import { jupyterPython } from '../support/programs.js';

/** The real contents manager, as a server's configuration creates it. */
const server = `
import asyncio, os, sys
from traitlets.config import Config
c = Config()
${wholeFiles}
from nbformat import v4
manager = c.ServerApp.contents_manager_class(root_dir=sys.argv[1])
def notebook(source):
    return {"type": "notebook", "format": "json", "content": v4.new_notebook(cells=[v4.new_code_cell(source, id="one")])}
async def source():
    return (await manager.get("a.ipynb"))["content"]["cells"][0]["source"]
async def main():
`;

describe('a save in Jupyter', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'perijove-saving-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  async function inJupyter(...lines: readonly string[]): Promise<unknown> {
    const script = `${server}${lines.map((line) => `    ${line}\n`).join('')}asyncio.run(main())`;
    const { stdout } = await promisify(execFile)(jupyterPython(), ['-c', script, directory]);
    return JSON.parse(stdout);
  }

  it('is not undone by a concurrent reader', async () => {
    expect(
      await inJupyter(
        'import json',
        'await manager.save(notebook("old"), "a.ipynb")',
        'path = os.path.join(sys.argv[1], "a.ipynb")',
        'with manager.atomic_writing(path) as file:',
        '    file.write(\'{"cells": [\')',
        '    file.flush()',
        '    meanwhile = await source()',
        '    file.seek(0)',
        '    file.truncate()',
        '    import nbformat',
        '    nbformat.write(nbformat.from_dict(notebook("new")["content"]), file)',
        'print(json.dumps([meanwhile, await source()]))',
      ),
    ).toEqual(['old', 'new']);
    expect(readdirSync(directory)).toEqual(['.ipynb_checkpoints', 'a.ipynb']);
  });

  it('that fails leaves the old file, and nothing else', async () => {
    writeFileSync(path.join(directory, 'a.txt'), 'as it was');
    expect(
      await inJupyter(
        'try:',
        '    with manager.atomic_writing(os.path.join(sys.argv[1], "a.txt")) as file:',
        '        file.write("half")',
        '        raise OSError(28, "No space left on device")',
        'except OSError as error:',
        '    print(error.errno)',
      ),
    ).toBe(28);
    expect(readFileSync(path.join(directory, 'a.txt'), 'utf8')).toBe('as it was');
    expect(readdirSync(directory)).toEqual(['a.txt']);
  });

  it("keeps the file's permissions, and updates its modification time", async () => {
    const file = path.join(directory, 'a.txt');
    writeFileSync(file, 'old');
    chmodSync(file, 0o640);
    await inJupyter(
      `os.utime(${JSON.stringify(file)}, (1, 1))`,
      'await manager.save({"type": "file", "format": "text", "content": ""}, "a.txt")',
      'print(0)',
    );
    const { mode, mtimeMs, size } = statSync(file);
    expect([(mode & 0o777).toString(8), size]).toEqual(['640', 0]);
    expect(mtimeMs).toBeGreaterThan(1_000_000);
  });

  it('applies the umask to a new file', async () => {
    await inJupyter(
      'os.umask(0o027)',
      'await manager.save({"type": "file", "format": "text", "content": "new"}, "b.txt")',
      'print(0)',
    );
    expect((statSync(path.join(directory, 'b.txt')).mode & 0o777).toString(8)).toBe('640');
  });
});
