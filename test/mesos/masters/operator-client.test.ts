import { createServer, type Server } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import {
  masterAgents,
  masterHealth,
  masterLeader,
  masterMetrics,
  masterState,
  masterVersion,
} from '../../../src/mesos/masters/operator-client.js';
import { exchanges } from '../../support/mesos-recordings.js';

const recorded = (title: string) =>
  exchanges('master-endpoints.txt').find((each) => each.title === title)?.reply.text ?? '';
const state = recorded('leader: GET /state');

interface Answer {
  readonly status: number;
  readonly body?: string;
  readonly location?: string;
}

let server: Server | undefined;
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server === undefined ? resolve(undefined) : server.close(resolve)));
  server = undefined;
});

/** Responds with a master's recorded responses. */
async function master(answers: Readonly<Record<string, Answer>>): Promise<{ host: string; port: number }> {
  const listening = createServer((request, response) => {
    const { status, body = '', location } = answers[request.url ?? ''] ?? { status: 404 };
    response.writeHead(status, location === undefined ? {} : { location }).end(body);
  });
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, '127.24.3.2', resolve));
  const address = listening.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { host: '127.24.3.2', port: address.port };
}

describe('the state of a master', () => {
  const metricsOf = async (body: string) =>
    await masterMetrics(await master({ '/metrics/snapshot': { status: 200, body } }));

  it.each(['leader', 'non-leading master'])(
    'is that of the %s, as recorded with Mesos 1.3',
    async (which) => {
      expect(await metricsOf(recorded(`${which}: GET /metrics/snapshot`))).toEqual({
        uptimeSeconds: expect.any(Number) as number,
        logRecovered: true,
        logEnsembleSize: undefined,
      });
    },
  );

  it('comes from the log itself if it has its own metrics', async () => {
    const later = { 'log/recovered': 0, 'log/ensemble_size': 3, 'registrar/log/recovered': 1 };
    expect(await metricsOf(JSON.stringify(later))).toMatchObject({ logRecovered: false, logEnsembleSize: 3 });
  });

  it('is unknown without a metric', async () => {
    expect(await metricsOf('{}')).toMatchObject({ logRecovered: undefined, logEnsembleSize: undefined });
  });
});

it('agents come without the rest of the state, as recorded', async () => {
  const endpoint = await master({ '/slaves': { status: 200, body: recorded('leader: GET /master/slaves') } });
  const whole = await masterAgents(endpoint);
  expect(whole.agents).toMatchObject([{ hostname: '127.0.0.1', port: 15051, active: true }]);
  expect(whole.recoveredAgents).toBe(0);
});

describe('/state, as recorded', () => {
  it('has agents, frameworks with their labels, and tasks', async () => {
    const result = await masterState(await master({ '/state': { status: 200, body: state } }));
    expect(result).toMatchObject({ version: '1.3.2', leader: 'master@127.0.0.1:15070', recoveredAgents: 0 });
    expect(result.agents).toEqual([
      {
        id: 'b0adfe1d-25db-405f-87b8-ae8a5847391d-S0',
        hostname: '127.0.0.1',
        address: '127.0.0.1',
        port: 15051,
        active: true,
        registeredAt: 1795337230.51637,
        attributes: { rack: 'r1', zone: 'z1' },
        cpus: 2,
        memoryMebibytes: 1024,
      },
    ]);
    expect(result.frameworks).toEqual([
      {
        id: 'b0adfe1d-25db-405f-87b8-ae8a5847391d-0008',
        name: 'mesos-execute instance',
        active: true,
        connected: true,
        registeredAt: 1795337727.46206,
        reregisteredAt: undefined,
        labels: [],
        tasks: [
          {
            id: 'running-task',
            agentId: 'b0adfe1d-25db-405f-87b8-ae8a5847391d-S0',
            state: 'TASK_RUNNING',
            labels: [],
          },
        ],
        unreachableTasks: [],
      },
    ]);
    expect(result.completedFrameworks).toContain('b0adfe1d-25db-405f-87b8-ae8a5847391d-0005');
  });

  it.each([
    ['a master that does not lead', { status: 307, location: '//127.0.0.1:1/state' }, 'MESOS_UNREACHABLE'],
    ['no leader', { status: 503, body: 'No leader elected' }, 'MESOS_UNREACHABLE'],
    ['a wrong secret', { status: 401 }, 'MESOS_CREDENTIAL_REFUSED'],
    ['another program', { status: 200, body: '<html>' }, 'MESOS_BAD_STREAM'],
    ['another API', { status: 200, body: '{"frameworks":3}' }, 'MESOS_BAD_STREAM'],
  ] as const)('%s', async (_what, answer, code) => {
    await expect(masterState(await master({ '/state': answer }))).rejects.toMatchObject({ code });
  });
});

describe('the leader', () => {
  it('is named by every master', async () => {
    const location = '//127.0.0.1:15070';
    expect(await masterLeader(await master({ '/redirect': { status: 307, location } }))).toEqual({
      host: '127.0.0.1',
      port: 15070,
    });
  });

  it('is undefined without one', async () => {
    const answer = { status: 503, body: 'No leader elected' };
    expect(await masterLeader(await master({ '/redirect': answer }))).toBeUndefined();
  });

  it('cannot be read from another program', async () => {
    await expect(masterLeader(await master({ '/redirect': { status: 200 } }))).rejects.toMatchObject({
      code: 'MESOS_BAD_REQUEST',
    });
  });
});

describe('health and version', () => {
  it('a master that responds is healthy, a missing one is not', async () => {
    const endpoint = await master({ '/health': { status: 200 } });
    expect(await masterHealth(endpoint)).toBe(true);
    expect(await masterHealth({ ...endpoint, host: '127.24.3.3' }, { timeoutMs: 500 })).toBe(false);
  });

  it('distinguish the real one from the stand-in', async () => {
    const real =
      '{"build_date":"2026-11-22 08:18:01","build_time":1795335481.0,"build_user":"","version":"1.3.2"}';
    expect(await masterVersion(await master({ '/version': { status: 200, body: real } }))).toEqual({
      version: '1.3.2',
      standIn: false,
    });
  });
});
