/** The files of the page, as `scripts/build.js` bundles them. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PageFile } from './server.js';

const types = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
} as const;

const names = { '/': 'index.html', '/page.css': 'page.css', '/page.js': 'page.js', '/icon.svg': 'icon.svg' };

/** By path. @param directory of the built page; by default, this package's */
export async function pageFiles(
  directory = fileURLToPath(new URL('page', import.meta.url)),
): Promise<Readonly<Record<string, PageFile>>> {
  const files = Object.entries(names).map(async ([at, name]) => {
    const ending = path.extname(name) as keyof typeof types;
    return [at, { type: types[ending], body: await readFile(path.join(directory, name)) }] as const;
  });
  return Object.fromEntries(await Promise.all(files));
}
