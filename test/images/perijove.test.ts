import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { temporalPin } from '../../src/lab/pins.js';
import { searchAttributes } from '../../src/temporal/contract.js';
import { takeoverSettings } from '../../src/temporal/server.js';

it('has the Temporal that the lab has', async () => {
  expect(await readFile('images/perijove/Dockerfile', 'utf8')).toContain(`COPY ${temporalPin.file} `);
});

it.each(['images/node/Dockerfile', 'images/perijove/Dockerfile'])(
  '%s installs Python packages by their hashes alone',
  async (file) => {
    const dockerfile = await readFile(file, 'utf8');
    const [, ...installations] = dockerfile.replaceAll('\\\n', ' ').split('pip install');
    expect(installations).toHaveLength(1);
    expect(installations[0]).toMatch(/ --require-hashes +--only-binary :all: .*--requirement /);
  },
);

it('starts it with the search attributes of the contract, and with the settings that the lab gives', async () => {
  const start = await readFile('images/perijove/start', 'utf8');
  const given = (option: string) =>
    [...start.matchAll(new RegExp(`--${option} (\\S+)`, 'g'))].map(([, value]) => value);
  expect(given('search-attribute')).toEqual(Object.values(searchAttributes).map((name) => `${name}=Keyword`));
  expect(given('dynamic-config-value')).toEqual(
    Object.entries(takeoverSettings).map(([key, value]) => `'${key}="${value}"'`),
  );
});

it('has docs that say how a server of your own gets them', async () => {
  const text = await readFile('docs/how-to/temporal-and-workers.md', 'utf8');
  for (const [key, value] of Object.entries(takeoverSettings)) {
    expect(text).toContain(`--dynamic-config-value '${key}="${value}"'`);
  }
});
