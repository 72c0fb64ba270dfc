import { execFile } from 'node:child_process';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { PerijoveError } from '../../src/errors/error.js';
import { listenersScript, listensAt, parseListeners } from '../../src/hosts/listening.js';
import { known } from '../../src/hosts/observation.js';

const listed = async () => (await promisify(execFile)('sh', ['-c', listenersScript])).stdout;

it('finds listeners of this machine, at one address and at all addresses', async () => {
  const server = createServer().listen(0, '127.27.9.1');
  await once(server, 'listening');
  const everywhere = createServer().listen(0);
  await once(everywhere, 'listening');
  const [port, anyPort] = [server, everywhere].map((each) => (each.address() as { port: number }).port);
  const output = await listed();
  expect(parseListeners(output, '127.27.9.1', port ?? 0)).toEqual(known(true));
  expect(parseListeners(output, '127.27.9.2', port ?? 0)).toEqual(known(false));
  expect(parseListeners(output, '127.27.9.2', anyPort ?? 0)).toEqual(known(true));
  server.close();
  everywhere.close();
});

it.each([
  ['nothing', ''],
  ['half of it', '0100007F:1F90\n'],
  ['half a line', '0100007F:1F90\n0100'],
  ['half of the end marker', '0100007F:1F90\ncompl'],
])('the listeners are unknown when the host prints %s', (_what, output) => {
  expect(parseListeners(output, '10.0.0.1', 8080)).toMatchObject({ known: false });
});

it('the listeners are unknown when the host does not respond', async () => {
  const connect = () => Promise.reject(new PerijoveError('SSH_TIMEOUT', 'no answer'));
  expect(await listensAt(connect, '10.0.0.1', 8080)).toEqual({ known: false, why: 'no answer' });
});
