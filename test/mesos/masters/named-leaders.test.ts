import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import type { Reach } from '../../../src/ssh/reach.js';
import { masterAt } from '../../../src/mesos/masters/http.js';
import { namedLeaders } from '../../../src/mesos/masters/named-leaders.js';
import { makeHost, makeSpec } from '../../support/spec.js';

const spec = makeSpec({
  hosts: [1, 2, 3, 4].map((index) =>
    makeHost(`h${index}`, {
      address: `10.0.0.${index}`,
      hostname: `mesos${index}.example`,
      roles: ['master'],
    }),
  ),
});

it('returns by host which leader each master names, without those that do not respond', async () => {
  const servers: Server[] = [];
  const listening = async (answer: { status: number; location?: string }) => {
    const server = createServer((_request, response) => {
      response.writeHead(answer.status, answer.location === undefined ? {} : { location: answer.location });
      response.end();
    });
    servers.push(server.listen(0, '127.0.0.1'));
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const ports: Readonly<Record<string, number>> = {
    h1: await listening({ status: 307, location: '//mesos1.example:5050' }),
    h2: await listening({ status: 503 }),
    h3: await listening({ status: 307, location: '//10.9.9.9:5050' }),
  };
  const via = async (host: string) => {
    const port = ports[host];
    if (port === undefined) throw new Error('no way');
    return { host: '127.0.0.1', port };
  };
  try {
    const reach: Reach = { via, any: via };
    expect(await namedLeaders({ spec, reach }, 2_000)).toEqual({ h1: 'h1', h2: null, h3: null });
  } finally {
    for (const server of servers) server.close();
  }
});

it('finds the host of a master by its address or its name, and its port', () => {
  expect(masterAt(spec, { host: '10.0.0.2', port: 5050 })?.name).toBe('h2');
  expect(masterAt(spec, { host: 'mesos3.example', port: 5050 })?.name).toBe('h3');
  expect(masterAt(spec, { host: '10.0.0.2', port: 5051 })).toBeUndefined();
});
