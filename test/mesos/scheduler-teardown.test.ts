import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { teardownFramework } from '../../src/mesos/scheduler/scheduler.js';
import { makeSpec } from '../support/spec.js';

it('does not report an unstored framework as torn down while agents may still report it', async () => {
  const state = {
    ...{ version: '1.3.2', leader: 'master@127.0.0.1:5050', slaves: [], frameworks: [] },
    recovered_slaves: [{}],
  };
  const server = createServer((_request, response) => {
    response.writeHead(200).end(JSON.stringify(state));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const deps = {
    spec: makeSpec(),
    leaders: async function* () {
      const leader = { id: 'M', hostname: 'm', pid: '', address: { ip: '127.0.0.1', port } };
      yield { kind: 'leader', leader } as const;
    },
    dial: async () => ({ host: '127.0.0.1', port }),
    logger: pino({ level: 'silent' }),
  };
  const { signal } = new AbortController();
  await expect(teardownFramework(deps, undefined, signal)).rejects.toMatchObject({
    code: 'MESOS_UNREACHABLE',
    message: expect.stringContaining('1 of its agents') as string,
  });
  state.recovered_slaves = [];
  await teardownFramework(deps, undefined, signal);
  server.close();
});
