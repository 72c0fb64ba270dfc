import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { at } from '../../support/mesos.js';
import { StandIn } from '../../support/stand-in.js';

/** What no recording has; the rest is in `recordings.test.ts`. */
const standIn = new StandIn('127.23.0.2');
beforeAll(async () => await standIn.start());
afterAll(async () => await standIn.stop());

const json = { 'content-type': 'application/json' };
const metric = async (asked: Parameters<StandIn['ask']>[0], name: string) =>
  at(JSON.parse((await standIn.ask(asked, 'GET', '/metrics/snapshot')).text), name);

describe('a master that knows of no leader', () => {
  it.each([
    ['HEAD', '/master/health', 200, ''],
    ['GET', '/master/redirect/master/state', 404, ''],
  ])('%s %s: %d', async (method, url, status, text) => {
    expect(await standIn.ask('lonely', method, url)).toMatchObject({ status, text });
  });

  it('shows a page that says so, and what it is', async () => {
    const { status, text } = await standIn.ask('lonely', 'GET', '/');
    expect(status).toBe(200);
    expect(text).toContain('No leader is elected.');
    expect(text).toContain('stand-in for Apache Mesos');
  });
});

describe('the leader', () => {
  it('answers the same below /master and without it, for POST as for GET', async () => {
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

  it.each(['SUBSCRIBE', 'SET_QUOTA', 'START_MAINTENANCE'])(
    'says that it does not answer %s',
    async (type) => {
      const body = JSON.stringify({ type });
      expect(await standIn.ask('leader', 'POST', '/api/v1', json, body)).toMatchObject({
        status: 501,
        text: `The stand-in's master does not answer ${type}`,
      });
    },
  );

  it('leaves out lists without elements, as protobuf does', async () => {
    const body = JSON.stringify({ type: 'GET_STATE' });
    const { text } = await standIn.ask('leader', 'POST', '/api/v1', json, body);
    expect(JSON.parse(text)).toEqual({
      type: 'GET_STATE',
      get_state: { get_agents: {}, get_executors: {}, get_frameworks: {}, get_tasks: {} },
    });
  });
});

describe('the log', () => {
  it.each([
    ['leader', 1],
    ['follower', 1],
    ['alone', 0],
    ['lonely', 0],
  ] as const)('of the master that is %s: recovered %d', async (asked, recovered) => {
    expect(await metric(asked, 'registrar/log/recovered')).toBe(recovered);
  });

  it('and who is elected, are told of by each', async () => {
    expect(await metric('leader', 'master/elected')).toBe(1);
    expect(await metric('follower', 'master/elected')).toBe(0);
  });
});
