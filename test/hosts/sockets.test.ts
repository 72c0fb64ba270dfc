import { describe, expect, it } from 'vitest';
import { listenersAt, parseSockets } from '../../src/hosts/sockets.js';

const head =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const row = (local: string, state: string, inode: number) =>
  `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1 0000000000000000 100 0 0 10 0\n`;

describe('parseSockets', () => {
  it('reads addresses in the byte order of the machine', () => {
    expect(parseSockets(head + row('0101007F:0898', '0A', 7))).toEqual([
      { address: '127.0.1.1', port: 2200, listening: true, inode: 7 },
    ]);
  });

  it('reads the IPv6 wildcard and mapped IPv4 addresses', () => {
    const table =
      head +
      row('00000000000000000000000000000000:1F90', '0A', 1) +
      row('0000000000000000FFFF00000100007F:1F91', '01', 2);
    expect(parseSockets(table)).toEqual([
      { address: '::', port: 8080, listening: true, inode: 1 },
      { address: '127.0.0.1', port: 8081, listening: false, inode: 2 },
    ]);
  });
});

describe('listenersAt', () => {
  const socket = (address: string, port: number, listening = true) => ({
    address,
    port,
    listening,
    inode: 1,
  });

  it('counts wildcards, but neither other addresses nor mere connections', () => {
    const sockets = [
      socket('0.0.0.0', 80),
      socket('::', 80),
      socket('127.0.0.1', 80),
      socket('127.0.0.2', 80),
      socket('127.0.0.1', 81),
      socket('127.0.0.1', 80, false),
    ];
    expect(listenersAt('127.0.0.1', 80, sockets)).toEqual(sockets.slice(0, 3));
  });
});
