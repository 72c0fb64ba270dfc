import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { readReceivers } from '../../src/activities/receivers.js';
import { failureNotices } from '../../src/worker/notices.js';

const directory = mkdtempSync(path.join(tmpdir(), 'perijove-receivers-'));
const file = path.join(directory, 'notify.json');
afterAll(() => rmSync(directory, { recursive: true }));

function read(data: unknown, mode = 0o600) {
  writeFileSync(file, typeof data === 'string' ? data : JSON.stringify(data));
  chmodSync(file, mode);
  return readReceivers(file);
}

it('reads webhooks and commands', () => {
  const hook = { name: 'ops', url: 'https://hooks.example.org/x', headers: { Authorization: 'Bearer y' } };
  const pager = { name: 'pager', command: ['/usr/local/bin/page', 'ops'] };
  expect(read({ receivers: [hook, pager] })).toEqual([hook, pager]);
});

it.each([
  ['no JSON', '{"receivers": [secret', /it is not valid JSON$/],
  ['no receiver', { receivers: [] }, /at receivers$/],
  ['another scheme', { receivers: [{ name: 'ops', url: 'file:///etc/passwd' }] }, /at receivers\.0/],
  ['a program without its path', { receivers: [{ name: 'ops', command: ['page'] }] }, /at receivers\.0/],
  [
    'one name twice',
    { receivers: ['/bin/a', '/bin/b'].map((program) => ({ name: 'ops', command: [program] })) },
    /the name ops is there twice$/,
  ],
])('refuses %s, and quotes nothing of the file', (_what, data, message) => {
  expect(() => read(data)).toThrow(message);
});

it('refuses a file that others can read, and one that is not there', () => {
  expect(() => read({ receivers: [{ name: 'ops', command: ['/bin/true'] }] }, 0o644)).toThrow(
    /others can read it/,
  );
  rmSync(file);
  expect(() => readReceivers(file)).toThrow(/ENOENT/);
});

it('reports no deployment that only waited for the one of its cluster', () => {
  expect(failureNotices('nightly-2026', new Date(), undefined)).toEqual([]);
  const [notice] = failureNotices('deploy:lab', new Date(0), undefined);
  expect(notice).toEqual({
    cluster: 'lab',
    kind: 'deployment-failed',
    at: '1970-01-01T00:00:00.000Z',
    what: 'the deployment failed',
  });
});
