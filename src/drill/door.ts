import type http from 'node:http';
import net, { type Socket } from 'node:net';
import { DialAgent } from '../proxy/program/agents.js';
import { enterDoor } from '../proxy/program/kernels/enter.js';
import type { Endpoint } from '../ssh/connection.js';

const enterMs = 5_000;

/** Connections to a node's Jupyter by its door, whether the node serves or not. Its errors say what is not there. */
export function doorAgent(controlPort: () => Promise<Endpoint>, token: string): http.Agent {
  return new DialAgent(async () => enter(await controlPort(), token), { timeout: 4_000 });
}

async function enter({ host, port }: Endpoint, token: string): Promise<Socket> {
  const entry = await enterDoor(net.connect({ host, port }), token, enterMs);
  switch (entry.kind) {
    case 'entered':
      return entry.jupyter;
    case 'no-kernels':
      throw new Error('its Jupyter does not run');
    case 'refused':
      throw new Error(`its door answered ${entry.status}`);
    case 'silent':
      throw new Error('its door does not answer');
    case 'no-door':
      throw new Error('it has no door to its kernels');
  }
}
