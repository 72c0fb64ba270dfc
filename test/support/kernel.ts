import { once } from 'node:events';
import { WebSocket } from 'ws';
import { CellRun } from '../../src/jupyter/cell.js';

/** Starts a kernel that stays, unlike that of `runCell`; resolves to its ID. */
export async function startKernel(baseUrl: string, token: string): Promise<string> {
  const answer = await fetch(`${baseUrl}/api/kernels`, {
    method: 'POST',
    headers: { authorization: `token ${token}` },
  });
  return ((await answer.json()) as { readonly id: string }).id;
}

/** Runs a cell in it; resolves to the value as `text/plain`. */
export async function runInKernel(
  baseUrl: string,
  token: string,
  kernel: string,
  code: string,
): Promise<string> {
  const session = 'test';
  const socket = new WebSocket(
    `${baseUrl.replace('http', 'ws')}/api/kernels/${kernel}/channels?session_id=${session}`,
    { headers: { authorization: `token ${token}` } },
  );
  try {
    await once(socket, 'open');
    const cell = new CellRun(code, session);
    socket.send(JSON.stringify(cell.request));
    return await new Promise<string>((resolve, reject) => {
      socket.on('close', () => reject(new Error('the websocket was closed')));
      socket.on('message', (data, binary) => {
        const end = binary || !Buffer.isBuffer(data) ? undefined : cell.take(data.toString());
        if (end?.ok === true) resolve(end.result);
        if (end?.ok === false) reject(new Error(end.lastLine));
      });
    });
  } finally {
    socket.terminate();
  }
}
