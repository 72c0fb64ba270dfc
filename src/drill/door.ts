import http from 'node:http';
import net, { type Socket } from 'node:net';
import { jupyterAuthority, kernelsHeader, type KernelsHeader } from '../node/kernels.js';
import { DialAgent, PreparedAgent } from '../proxy/program/agents.js';
import type { Endpoint } from '../ssh/connection.js';

const enterMs = 5_000;

/** Connections to a node's Jupyter by its door, whether the node serves or not. Its errors say what is not there. */
export function doorAgent(controlPort: () => Promise<Endpoint>, token: string): http.Agent {
  return new DialAgent(async () => enter(await controlPort(), token), { timeout: 4_000 });
}

function enter({ host, port }: Endpoint, token: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port });
    const request = http.request({
      method: 'CONNECT',
      path: jupyterAuthority,
      headers: { host: jupyterAuthority, authorization: `Bearer ${token}` },
      agent: new PreparedAgent(socket),
    });
    const fail = (why: string): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(new Error(why));
    };
    const timer = setTimeout(() => fail('its door does not answer'), enterMs);
    request.once('connect', (answer, jupyter: Socket) => {
      if (answer.statusCode === 200) {
        clearTimeout(timer);
        jupyter.on('error', () => jupyter.destroy());
        resolve(jupyter);
      } else if (answer.headers[kernelsHeader] === ('none' satisfies KernelsHeader)) {
        fail('its Jupyter does not run');
      } else fail(`its door answered ${answer.statusCode}`);
    });
    // An earlier release ends the connection without a word.
    request.once('error', () => fail('it has no door to its kernels'));
    request.end();
  });
}
