import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agentAuthentication, masterAuthentication } from '../../src/stand-in/authentication.js';
import { agentFlags, masterFlags, parseFlags } from '../../src/stand-in/flags.js';
import { StandIn, type Asked } from '../support/stand-in.js';

const directory = mkdtempSync(path.join(tmpdir(), 'perijove-authentication-'));
const fileOf = (name: string, text: string) => {
  const file = path.join(directory, name);
  writeFileSync(file, text);
  return file;
};
const json = fileOf('json', '{"credentials":[{"principal":"sherman","secret":"kitesurf"}]}');
const standIn = new StandIn('127.23.0.6');

beforeAll(async () => {
  await standIn.start([
    '--authenticate_http_readonly',
    '--authenticate_http_readwrite',
    '--authenticate_http_frameworks',
    '--http_framework_authenticators=basic',
    `--credentials=file://${json}`,
  ]);
});
afterAll(async () => {
  await standIn.stop();
  rmSync(directory, { recursive: true });
});

const basic = (pair: string) => ({ authorization: `Basic ${Buffer.from(pair).toString('base64')}` });
const call = { 'content-type': 'application/json', accept: 'application/json' };

describe('a master with authentication', () => {
  const asked: readonly Asked[] = ['leader', 'follower', 'lonely', 'alone'];

  it.each([
    ['GET', '/master/state', 'mesos-master-readonly'],
    ['GET', '/state.json', 'mesos-master-readonly'],
    ['GET', '/metrics/snapshot', 'mesos-master-readonly'],
    ['GET', '/flags', 'mesos-master-readonly'],
    ['GET', '/', 'mesos-master-readonly'],
    ['POST', '/api/v1', 'mesos-master-readwrite'],
    ['POST', '/master/api/v1', 'mesos-master-readwrite'],
    ['GET', '/logging/toggle', 'mesos-master-readwrite'],
    ['POST', '/api/v1/scheduler', 'mesos-master-scheduler'],
    ['GET', '/master/api/v1/scheduler', 'mesos-master-scheduler'],
  ])('%s %s: 401 of the realm, before any other check of the request', async (method, url, realm) => {
    const wrong = [{}, basic('sherman:wrong'), basic('other:kitesurf'), { authorization: 'Bearer kitesurf' }];
    for (const master of asked) {
      for (const headers of wrong) {
        const answer = await standIn.ask(master, method, url, headers);
        expect(answer).toMatchObject({ status: 401, text: '' });
        expect(answer.headers).toMatchObject({
          'www-authenticate': `Basic realm="${realm}"`,
          'content-length': '0',
        });
      }
    }
  });

  it.each([
    ['/health', 200],
    ['/version', 200],
    ['/redirect', 307],
    ['/system/stats.json', 200],
  ])('needs no credential for %s', async (url, status) => {
    expect(await standIn.ask('leader', 'GET', url)).toMatchObject({ status });
  });

  it('accepts the credential, and redirects', async () => {
    const right = basic('sherman:kitesurf');
    expect(await standIn.ask('leader', 'GET', '/state', right)).toMatchObject({ status: 200 });
    expect(await standIn.ask('follower', 'GET', '/state', right)).toMatchObject({ status: 307 });
    const health = await standIn.ask(
      'leader',
      'POST',
      '/api/v1',
      { ...right, ...call },
      '{"type":"GET_HEALTH"}',
    );
    expect(health).toMatchObject({ status: 200 });
  });

  const subscription = (principal?: string) =>
    JSON.stringify({
      type: 'SUBSCRIBE',
      subscribe: { framework_info: { user: 'u', name: 'n', ...(principal && { principal }) } },
    });

  it('rejects a framework of another principal', async () => {
    const headers = { ...basic('sherman:kitesurf'), ...call };
    const answer = await standIn.ask('leader', 'POST', '/api/v1/scheduler', headers, subscription('yoda'));
    expect(answer).toMatchObject({
      status: 400,
      text: "Failed to validate scheduler::Call: Authenticated principal 'sherman' does not match principal 'yoda' set in `FrameworkInfo`",
    });
  });

  it('gives a framework without a principal that of its request', async () => {
    const headers = { ...basic('sherman:kitesurf'), ...call };
    const stream = await standIn.open('leader', 'POST', '/api/v1/scheduler', headers, subscription());
    expect(stream.statusCode).toBe(200);
    const infos = [...standIn.master.cluster.frameworks.values()].map(({ info }) => info);
    expect(infos).toMatchObject([{ name: 'n', principal: 'sherman' }]);
    stream.destroy();
  });
});

describe('flags', () => {
  const master = (...flags: string[]) => masterAuthentication(parseFlags(masterFlags, flags, {}));
  const agent = (...flags: string[]) => agentAuthentication(parseFlags(agentFlags, flags, {}));

  it('that require credentials and name none are rejected', () => {
    expect(() => master('--authenticate_http_readonly')).toThrow(
      "No credentials provided for the default 'basic' HTTP authenticator for realm 'mesos-master-readonly'",
    );
    expect(() => agent('--authenticate_http_readwrite')).toThrow("realm 'mesos-agent-readwrite'");
    expect(() => master('--authenticate_http_frameworks', `--credentials=${json}`)).toThrow(
      'Missing `--http_framework_authenticators` flag.',
    );
  });

  it('accept a credentials file with one entry per line', () => {
    const lines = fileOf('lines', 'sherman kitesurf\nyoda usetheforce\n');
    const request = (pair: string) => ({ headers: basic(pair) }) as never;
    const given = agent('--authenticate_http_readonly', `--http_credentials=${lines}`);
    expect(given.principalOf(request('yoda:usetheforce'), 'mesos-agent-readonly')).toBe('yoda');
    expect(() => given.principalOf(request('yoda:kitesurf'), 'mesos-agent-readonly')).toThrow();
    expect(given.principalOf(request('yoda:kitesurf'), 'mesos-agent-readwrite')).toBeUndefined();
  });

  it('never quote an invalid credentials file', () => {
    const broken = fileOf('broken', '{"credentials":[{"principal":"a","secret":"topsecret"');
    expect(() => master(`--credentials=${broken}`)).toThrow(`Failed to read the credentials in '${broken}'`);
    expect(() => master(`--credentials=${broken}`)).not.toThrow('topsecret');
  });
});
