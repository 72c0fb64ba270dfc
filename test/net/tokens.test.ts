import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readTokens } from '../../src/net/tokens.js';

let dir: string;
const file = () => path.join(dir, 'token');
beforeEach(() => void (dir = mkdtempSync(path.join(tmpdir(), 'perijove-tokens-'))));
afterEach(() => rmSync(dir, { recursive: true }));

describe('readTokens', () => {
  it('gives the token first, then those that are accepted beside it', async () => {
    writeFileSync(file(), 'now\n');
    expect(await readTokens(file())).toEqual(['now']);
    writeFileSync(`${file()}.last`, 'old');
    expect(await readTokens(file())).toEqual(['now', 'old']);
    writeFileSync(`${file()}.next`, 'new\n');
    expect(await readTokens(file())).toEqual(['now', 'new', 'old']);
  });

  it('accepts nothing empty, and fails without the token itself', async () => {
    writeFileSync(`${file()}.next`, 'new');
    await expect(readTokens(file())).rejects.toThrow(/ENOENT/);
    writeFileSync(file(), '\n');
    await expect(readTokens(file())).rejects.toThrow(/is empty/);
    writeFileSync(file(), 'now');
    writeFileSync(`${file()}.next`, '\n');
    expect(await readTokens(file())).toEqual(['now']);
  });
});
