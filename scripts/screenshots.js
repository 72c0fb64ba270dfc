// `npm run screenshots`: starts a separate lab at the default addresses, takes docs/images/terminal.png, temporal.png,
// status-page.png and status-page-phone.png from it, and purges it. `npm run screenshots -- status` takes the last two
// alone.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32, deflateSync } from 'node:zlib';
import { chromium } from 'playwright-core';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const program = [process.execPath, path.join(root, 'bin', 'perijove.js')];
const state = mkdtempSync(path.join(tmpdir(), 'perijove-screenshots-'));
const env = { ...process.env, XDG_STATE_HOME: state, PERIJOVE_FILE: '', TERM: 'xterm' };

/** A command's output on a terminal of 80 columns: the last frame of its progress, and what follows. */
function screenOf(words) {
  const command = `stty cols 80 rows 50 && ${[...program, ...words].join(' ')}`;
  // `script` provides the terminal.
  const options = { cwd: state, env, input: '', encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 };
  const { status, stdout } = spawnSync('script', ['-qec', command, '/dev/null'], options);
  if (status !== 0) throw new Error(`perijove ${words.join(' ')}: exit code ${status}\n${stdout}`);
  // Each frame begins with "erase below".
  return stdout.replaceAll('\r', '').split('\x1b[J').at(-1).trim();
}

const styles = {
  1: 'font-weight: bold',
  2: 'opacity: 0.6',
  31: 'color: #ff7b72',
  32: 'color: #7ee787',
  33: 'color: #e3b341',
  36: 'color: #79c0ff',
};

function html(text) {
  const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return escaped.replace(/\x1b\[(\d+)m/g, (_match, code) =>
    styles[code] === undefined ? '</span>' : `<span style="${styles[code]}">`,
  );
}

async function terminal(browser, commands) {
  const text = commands.map((words) => {
    const screen = screenOf(words);
    return `<b>$ npx perijove ${words.join(' ')}</b>\n${html(screen)}\n`;
  });
  const page = await browser.newPage({ deviceScaleFactor: 1.25 });
  await page.setContent(`<style>
    pre {
      display: inline-block; box-sizing: content-box; width: 80ch; margin: 0; padding: 1em 1.5em;
      font: 14px/1.35 'DejaVu Sans Mono', monospace; white-space: pre-wrap; overflow-wrap: anywhere;
      background: #0d1117; color: #e6edf3;
    }
  </style><pre>${text.join('\n')}</pre>`);
  await save(page, 'terminal.png', await page.locator('pre').screenshot());
  await page.close();
}

/**
 * The header and the timeline of the deployment. Excludes its input, which contains paths of this machine.
 */
async function temporal(browser) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 2600 }, colorScheme: 'light' });
  page.setDefaultTimeout(180_000);
  await page.goto('http://127.0.0.1:8233/namespaces/default/workflows/deploy:lab');
  await page.getByText('verifyNotebooks').first().waitFor();
  await page.getByText('Descending').click();
  await page.getByText('Ascending').waitFor();
  // Nothing under the pointer.
  await page.mouse.move(0, 0);
  const payloads = page.getByRole('heading', { name: 'Input', exact: true }).locator('xpath=../..');
  await payloads.evaluate((element) => element.remove());
  const main = await page.locator('main').boundingBox();
  const ticks = await page.getByText(/^\d+s$/).all();
  const bottoms = await Promise.all(ticks.map(async (tick) => (await tick.boundingBox())?.y ?? 0));
  const height = Math.max(...bottoms) + 40 - main.y;
  await save(page, 'temporal.png', await page.screenshot({ clip: { ...main, height } }));
  await page.close();
}

/** The status page after a drill and a move: wide and light, and dark on a phone. */
async function statusPage(browser) {
  for (const words of [
    ['drill', 'run', 'node-kill'],
    ['move', 'node3'],
  ]) {
    screenOf(words);
  }
  const url = screenOf(['open', 'status', '--url']);
  const looks = {
    'status-page.png': { viewport: { width: 1280, height: 860 }, colorScheme: 'light' },
    'status-page-phone.png': { viewport: { width: 390, height: 780 }, colorScheme: 'dark' },
  };
  for (const [name, look] of Object.entries(looks)) {
    const page = await browser.newPage({ ...look, locale: 'en-GB' });
    page.setDefaultTimeout(180_000);
    await page.goto(url);
    await page.getByRole('status').filter({ hasText: 'ready' }).waitFor();
    // The drill, in the middle of a minute.
    await page.locator('.moments li', { hasText: 'drill 1' }).locator('.at').click();
    await page.getByRole('link', { name: 'Minute' }).click();
    // Not every machine has a font for it.
    await page.locator('.languages').evaluate((element) => element.remove());
    await page.evaluate(() => scrollTo(0, 0));
    const png = await page.screenshot();
    // The policy of the page itself permits no other source.
    await page.goto('about:blank');
    await save(page, name, png);
    await page.close();
  }
}

/** Rewrites a screenshot without PNG filters: they suit photographs, and make these a fifth larger. */
async function save(page, name, png) {
  const { width, height, base64 } = await page.evaluate(
    async (source) => {
      const bitmap = await createImageBitmap(await (await fetch(source)).blob());
      const { width, height } = bitmap;
      const context = new OffscreenCanvas(width, height).getContext('2d');
      context.drawImage(bitmap, 0, 0);
      const { data } = context.getImageData(0, 0, width, height);
      // A row is its filter byte (none) and three bytes per pixel.
      const rows = new Uint8Array(height * (1 + 3 * width));
      for (let y = 0; y < height; y += 1) {
        for (let x = 0; x < width; x += 1) {
          const from = 4 * (y * width + x);
          rows.set(data.subarray(from, from + 3), y * (1 + 3 * width) + 1 + 3 * x);
        }
      }
      const url = await new Promise((resolve) => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result);
        reader.readAsDataURL(new Blob([rows]));
      });
      return { width, height, base64: url.slice(url.indexOf(',') + 1) };
    },
    `data:image/png;base64,${png.toString('base64')}`,
  );
  const rows = Buffer.from(base64, 'base64');
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  // 8 bits per channel of RGB.
  header.set([8, 2], 8);
  const chunks = [
    ['IHDR', header],
    ['IDAT', deflateSync(rows, { level: 9, memLevel: 9 })],
    ['IEND', Buffer.alloc(0)],
  ].map(([type, data]) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const chunk = Buffer.alloc(body.length + 8);
    chunk.writeUInt32BE(data.length);
    chunk.set(body, 4);
    chunk.writeUInt32BE(crc32(body), body.length + 4);
    return chunk;
  });
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
  writeFileSync(path.join(root, 'docs', 'images', name), Buffer.concat([signature, ...chunks]));
}

// Greyscale antialiasing makes smaller files.
const flags = ['--disable-lcd-text', ...(process.getuid() === 0 ? ['--no-sandbox'] : [])];
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: flags });
try {
  if (process.argv[2] === 'status') screenOf(['lab', 'up']);
  else {
    await terminal(browser, [['lab', 'up'], ['status']]);
    await temporal(browser);
  }
  await statusPage(browser);
} finally {
  await browser.close();
  spawnSync(program[0], [program[1], 'lab', 'down', '--purge'], { env, stdio: 'inherit' });
  rmSync(state, { recursive: true, force: true });
}
