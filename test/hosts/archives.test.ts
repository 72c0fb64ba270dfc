import { createHash, pbkdf2 } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { unpackArchive } from '../../src/hosts/archives.js';
import type { HostConnection } from '../../src/ssh/connection.js';
import { rawServer, type RawServer } from '../support/raw-server.js';
import { makeHost } from '../support/spec.js';

let server: RawServer | undefined;
let release: (() => void) | undefined;
afterEach(() => {
  release?.();
  server?.close();
});

/** Until the returned function is called, files are written slowly: the thread pool of this process has work. */
function slowFiles(): () => void {
  let isOver = false;
  const work = () => void (isOver || pbkdf2('x', 'x', 4_000, 64, 'sha512', work));
  for (let thread = 0; thread < 8; thread += 1) work();
  return () => (isOver = true);
}

describe('an archive', () => {
  it('is fetched from an HTTP/1.0 server, which ends it by closing the connection', async () => {
    const content = Buffer.alloc(42 * 2 ** 20, 'x');
    server = await rawServer((socket) => {
      socket.write('HTTP/1.0 200 OK\r\nContent-Type: application/gzip\r\n\r\n');
      // The last byte then arrives while the reading of the body is paused.
      socket.end(content, () => (release = slowFiles()));
    });
    let uploaded: number | undefined;
    const connection = {
      host: makeHost('h1'),
      upload: async ({ file }: { readonly file: string }) => void (uploaded = (await stat(file)).size),
      run: async () => '',
    } as unknown as HostConnection;
    const sha256 = createHash('sha256').update(content).digest('hex');
    const archive = { path: '/opt/mesos', url: `${server.url}/mesos.tar.gz`, sha256 };
    await unpackArchive(connection, archive, undefined);
    expect(uploaded).toBe(content.length);
  });
});
