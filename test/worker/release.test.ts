import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { packageVersion, versionText } from '../../src/worker/release.js';

it('the version has the commit that it was built from, where that is known', () => {
  const dist = mkdtempSync(path.join(tmpdir(), 'perijove-release-'));
  try {
    expect(versionText(dist)).toBe(packageVersion());
    writeFileSync(path.join(dist, 'commit.json'), JSON.stringify({ commit: '778ca0a', date: '2026-11-30' }));
    expect(versionText(dist)).toBe(`${packageVersion()} (778ca0a, 2026-11-30)`);
  } finally {
    rmSync(dist, { recursive: true });
  }
});
