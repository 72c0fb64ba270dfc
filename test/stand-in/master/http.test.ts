import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { at } from '../../support/mesos.js';
import { StandIn } from '../../support/stand-in.js';

/** What no recording covers; the rest is in `recordings.test.ts`. */
const standIn = new StandIn('127.23.0.2');
beforeAll(async () => await standIn.start());
afterAll(async () => await standIn.stop());

const json = { 'content-type': 'application/json' };
const metric = async (asked: Parameters<StandIn['ask']>[0], name: string) =>
  at(JSON.parse((await standIn.ask(asked, 'GET', '/metrics/snapshot')).text), name);

describe('a master without a known leader', () => {
  it.each([
    ['HEAD', '/master/health', 200, ''],
    ['GET', '/master/redirect/master/state', 404, ''],
  ])('%s %s: %d', async (method, url, status, text) => {
    expect(await standIn.ask('lonely', method, url)).toMatchObject({ status, text });
  });

  it('shows a page that says so, and that it is a stand-in', async () => {
    const { status, text } = await standIn.ask('lonely', 'GET', '/');
    expect(status).toBe(200);
    expect(text).toContain('No leader is elected.');
    expect(text).toContain('stand-in for Apache Mesos');
  });
});

describe('the leader', () => {
  it('answers the same with and without /master, for POST as for GET', async () => {
    const states = await Promise.all([
      standIn.ask('leader', 'GET', '/state'),
      standIn.ask('leader', 'GET', '/master/state'),
      standIn.ask('leader', 'POST', '/master/state'),
      standIn.ask('leader', 'GET', '/master/state.json'),
    ]);
    for (const state of states) {
      expect(JSON.parse(state.text)).toMatchObject({ id: standIn.info.id, cluster: 'probe' });
    }
  });

  it.each(['SUBSCRIBE', 'SET_QUOTA', 'START_MAINTENANCE'])('reports that %s is unsupported', async (type) => {
    const body = JSON.stringify({ type });
    expect(await standIn.ask('leader', 'POST', '/api/v1', json, body)).toMatchObject({
      status: 501,
      text: `The stand-in's master does not answer ${type}`,
    });
  });

  it('keeps the schedule of maintenance, and refuses one that makes no sense', async () => {
    const url = '/maintenance/schedule';
    const unavailability = { start: { nanoseconds: 1e18 }, duration: { nanoseconds: 1e9 } };
    const post = (windows: unknown) => standIn.ask('leader', 'POST', url, json, JSON.stringify({ windows }));
    const windows = [{ machine_ids: [{ ip: '127.23.9.9' }], unavailability }];
    expect(await post(windows)).toMatchObject({ status: 200 });
    const kept = async () => JSON.parse((await standIn.ask('leader', 'GET', url)).text) as unknown;
    expect(await kept()).toEqual({ windows });
    const status = (await standIn.ask('leader', 'GET', '/maintenance/status')).text;
    expect(JSON.parse(status)).toEqual({ draining_machines: [{ id: { ip: '127.23.9.9' }, statuses: [] }] });
    for (const [bad, why] of [
      [[{ machine_ids: [], unavailability }], 'empty'],
      [[...windows, ...windows], 'more than once'],
      [[{ machine_ids: [{}], unavailability }], "Both 'hostname' and 'ip'"],
      [[{ machine_ids: [{ ip: '127.23.9.9' }] }], 'unavailability'],
    ] as const) {
      const { status: refused, text } = await post(bad);
      expect(refused).toBe(400);
      expect(text).toContain(why);
    }
    expect(await kept()).toEqual({ windows });
    expect(await post([])).toMatchObject({ status: 200 });
    expect(await kept()).toEqual({});
  });

  it('omits empty lists, as protobuf does', async () => {
    const body = JSON.stringify({ type: 'GET_STATE' });
    const { text } = await standIn.ask('leader', 'POST', '/api/v1', json, body);
    expect(JSON.parse(text)).toEqual({
      type: 'GET_STATE',
      get_state: { get_agents: {}, get_executors: {}, get_frameworks: {}, get_tasks: {} },
    });
  });
});

describe('the page', () => {
  it('shows the masters with their sequences, the leader and its election time, and the log', async () => {
    const { text } = await standIn.ask('leader', 'GET', '/');
    const plain = text
      .replace(/<style>.*<\/style>/s, '')
      .replace(/<[^>]*>/g, ' ')
      .replace(/\s+/g, ' ');
    expect(plain).toMatch(
      /This master leads since \d{4}-\d\d-\d\dT[\d:]+Z\. Leading master: master@127\.0\.0\.1:15070/,
    );
    expect(plain).toContain('Log: recovered (the stand-in has no replicated log');
    expect(plain).toContain('master@127.0.0.1:15070 (this one) 3 leads b0adfe1d-25db-405f-87b8-ae8a5847391d');
    expect(plain).toContain('master@127.0.0.1:15050 5 follows 4162c27d-207d-4fd5-8ea3-a4870afe237f');
  });

  it.each([
    ['follower', 'This master follows.', 'recovered'],
    ['lonely', 'No leader is elected.', 'not recovered'],
    ['alone', 'and is reading its registry.', 'not recovered'],
  ] as const)('of a %s master shows its state', async (asked, state, log) => {
    const { text } = await standIn.ask(asked, 'GET', '/');
    expect(text).toContain(state);
    expect(text).toContain(`>${log}</span>`);
  });
});

describe('the log', () => {
  it.each([
    ['leader', 1],
    ['follower', 1],
    ['alone', 0],
    ['lonely', 0],
  ] as const)('of the master in state %s: recovered %d', async (asked, recovered) => {
    expect(await metric(asked, 'registrar/log/recovered')).toBe(recovered);
  });

  it('and the elected master are shown by each', async () => {
    expect(await metric('leader', 'master/elected')).toBe(1);
    expect(await metric('follower', 'master/elected')).toBe(0);
  });
});
