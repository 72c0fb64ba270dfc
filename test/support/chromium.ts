import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium, type BrowserContext } from 'playwright-core';
import { PerijoveError } from '../../src/errors/error.js';
import { aptScript, runAptScript } from '../../src/lab/apt.js';
import { decideInstallation } from '../../src/lab/prerequisites.js';
import { findProgram, hostPath } from '../../src/lab/programs.js';
import { writeAtomically } from '../../src/lab/state.js';
import { cacheDir } from '../../src/hosts/artifacts.js';

const args = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A fresh browser: no cookies, no history. */
export interface TestBrowser {
  readonly context: BrowserContext;
  close(): Promise<void>;
}

export async function startBrowser(): Promise<TestBrowser> {
  const executablePath = await installedChromium();
  const profile = mkdtempSync(path.join(tmpdir(), 'perijove-chromium-'));
  const remove = () => rmSync(profile, { recursive: true, force: true });
  try {
    const context = await chromium.launchPersistentContext(profile, {
      ...{ executablePath, args, viewport: { width: 1280, height: 800 } },
      // A busy machine is slow; the test's own timeout limits each wait.
      timeout: 120_000,
    });
    context.setDefaultTimeout(90_000);
    return {
      context,
      async close() {
        await context.close();
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Debian's; the lab does not need it, so it is installed here if the tests run as root. */
async function installedChromium(): Promise<string> {
  const find = () => findProgram('chromium', hostPath);
  const found = find();
  if (found !== undefined) return found;
  const packages = ['chromium'];
  const circumstances = { root: process.getuid?.() === 0, sudo: false, terminal: false, yes: true };
  if (decideInstallation({ packages, tools: false }, circumstances).do === 'install') {
    const script = path.join(cacheDir(), 'install-chromium.sh');
    writeAtomically(script, aptScript(packages), 0o755);
    await runAptScript(script, (line) => console.log(line), new AbortController().signal);
  }
  const installed = find();
  if (installed !== undefined) return installed;
  throw new PerijoveError('PREREQUISITES_MISSING', 'The tests of the page need Chromium.', {
    remedy: 'Run `sudo apt-get install chromium`, then this again.',
  });
}
