import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { sharedTrust } from '../../src/jupyter/trust.js';
import { jupyterPython } from '../support/programs.js';

/** The configuration of servers, with the real notary. */
const servers = `
import json, os, sys
from traitlets.config import Config
c = Config()
notebooks, *expressions = sys.argv[1:]
cookie_secret = b"of all nodes"
${sharedTrust}
from nbformat import v4
from nbformat.sign import NotebookNotary
def notebook(source):
    output = v4.new_output("display_data", {"text/html": "<script></script>"})
    return v4.new_notebook(cells=[v4.new_code_cell(source, id="one", outputs=[output])])
def store(digest, at):
    notary.store.store_signature(digest, "sha256")
    os.utime(f"{notebooks}/.jupyter/trusted/{digest[:2]}/sha256-{digest}", (at, at))
results = []
for expression in expressions:
    notary = NotebookNotary(config=c, data_dir="/nonexistent")
    results.append(eval(expression))
print(json.dumps(results))
`;

describe('trust in notebooks', () => {
  const notebooks = mkdtempSync(path.join(tmpdir(), 'perijove-trust-'));
  afterAll(() => rmSync(notebooks, { recursive: true, force: true }));

  /** The results of the expressions, one after the other, each on its own server. */
  async function onServers(...expressions: readonly string[]): Promise<unknown[]> {
    const { stdout } = await promisify(execFile)(jupyterPython(), ['-c', servers, notebooks, ...expressions]);
    return JSON.parse(stdout) as unknown[];
  }

  it('is known to every server as soon as one has signed, and no longer once it is revoked', async () => {
    const trusted = 'notary.check_signature(notebook("1"))';
    const forget = 'notary.unsign(notebook("1"))';
    const sign = 'notary.sign(notebook("1"))';
    expect(await onServers(trusted, sign, trusted, 'notary.check_signature(notebook("2"))')).toEqual([
      false,
      null,
      true,
      false,
    ]);
    expect(await onServers(trusted, forget, trusted, forget)).toEqual([true, null, false, null]);
  });

  it('cannot be forged with write access to the storage alone', async () => {
    const forge = 'setattr(notary, "secret", b"a guess") or notary.sign(notebook("3"))';
    expect(await onServers(forge, 'notary.check_signature(notebook("3"))')).toEqual([null, false]);
  });

  it('is kept for the newest notebooks', async () => {
    const [, left] = await onServers(
      '[store("ab%04d" % number, number) for number in range(257)]',
      'sorted(os.listdir(notebooks + "/.jupyter/trusted/ab"))',
    );
    expect(left).toHaveLength(257 - 64);
    expect(left).toContain('sha256-ab0256');
    expect(left).not.toContain('sha256-ab0000');
  });
});
