import { describe, expect, it } from 'vitest';
import { makeSecret } from '../../src/deployment/secret-values.js';
import type { HostSecrets } from '../../src/hosts/secrets.js';
import { secretStatuses } from '../../src/status/secrets-survey.js';
import { makeSpec } from '../support/spec.js';

const held = (
  host: string,
  values: HostSecrets['values'],
  exposed: HostSecrets['exposed'] = [],
): HostSecrets => ({ host, values, exposed, mark: undefined });

describe('what hosts keep of the secrets', () => {
  it('names who has each, who lacks it, and whether values differ; never a value', () => {
    const found = secretStatuses([
      held('h1', { 'jupyter-token': 'first-value', 'node-api-token': 'same' }),
      held('h2', { 'jupyter-token': 'other-value', 'node-api-token': 'same\n' }, ['node-api-token']),
      held('h3', {}),
    ]);
    const of = (name: string) => found.find((each) => each.name === name);
    expect(of('jupyter-token')).toMatchObject({ hosts: ['h1', 'h2'], lacking: ['h3'], differs: true });
    expect(of('node-api-token')).toMatchObject({ lacking: ['h3'], differs: false, exposed: ['h2'] });
    expect(of('etcd-authority')).toMatchObject({ hosts: [], lacking: ['h1', 'h2', 'h3'] });
    expect(JSON.stringify(found)).not.toMatch(/first-value|other-value|same/);
  });

  it('tells when certificates end, and nothing of what cannot be read', async () => {
    const made = new Date('2026-11-30T12:00:00Z');
    const authority = await makeSecret('etcd-authority', makeSpec(), {}, made);
    const found = secretStatuses([held('h1', { 'etcd-authority': authority, 'etcd-client': 'damaged' })]);
    expect(found.find(({ name }) => name === 'etcd-authority')).toMatchObject({ ends: '2046-11-25' });
    for (const name of ['etcd-client', 'jupyter-token'])
      expect(found.find((each) => each.name === name)).not.toHaveProperty('ends');
  });
});
