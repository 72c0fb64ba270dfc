import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

/** One line of `/proc/net/tcp` or `/proc/net/tcp6` (proc(5)). */
export interface TcpSocket {
  /** Dotted for IPv4 and IPv4-mapped addresses; `::` for the IPv6 wildcard; other IPv6 addresses as hex. */
  readonly address: string;
  readonly port: number;
  readonly listening: boolean;
  readonly inode: number;
}

const listen = '0A';

/** Parses a whole `/proc/net/tcp` or `tcp6`. Addresses are 32-bit words in the byte order of the machine. */
export function parseSockets(table: string): TcpSocket[] {
  return table
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields.length > 9)
    .map((fields) => {
      const [address = '', port = ''] = (fields[1] ?? '').split(':');
      return {
        address: readableAddress(address),
        port: Number.parseInt(port, 16),
        listening: fields[3] === listen,
        inode: Number(fields[9]),
      };
    });
}

function readableAddress(hex: string): string {
  if (hex.length === 8) return dotted(hex);
  if (/^0+$/.test(hex)) return '::';
  return hex.startsWith('0000000000000000FFFF0000') ? dotted(hex.slice(24)) : hex;
}

function dotted(hex: string): string {
  const bytes = hex.match(/../g) ?? [];
  return bytes
    .reverse()
    .map((byte) => Number.parseInt(byte, 16))
    .join('.');
}

export function allSockets(): TcpSocket[] {
  return ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => {
    try {
      return parseSockets(readFileSync(file, 'utf8'));
    } catch (thrown) {
      // A kernel without IPv6 has no tcp6.
      if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return [];
      throw thrown;
    }
  });
}

/** The processes that hold the sockets with these inodes; only root sees those of other users. */
export function processesHolding(inodes: ReadonlySet<number>): number[] {
  if (inodes.size === 0) return [];
  const names = new Set([...inodes].map((inode) => `socket:[${inode}]`));
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        const fds = `/proc/${pid}/fd`;
        return readdirSync(fds).some((fd) => names.has(readlinkOr(`${fds}/${fd}`)));
      } catch {
        return false;
      }
    });
}

function readlinkOr(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return '';
  }
}

/** The sockets that prevent a program from listening on `address:port`. */
export function listenersAt(address: string, port: number, sockets = allSockets()): TcpSocket[] {
  const addresses = [address, '0.0.0.0', '::'];
  return sockets.filter(
    (socket) => socket.listening && socket.port === port && addresses.includes(socket.address),
  );
}

/** The processes that listen on `address:port`, as `etcd (process 4711)`; empty if this user sees none. */
export function holderOf(address: string, port: number): string {
  const listeners = listenersAt(address, port);
  return processesHolding(new Set(listeners.map(({ inode }) => inode)))
    .map((pid) => `${nameOf(pid)} (process ${pid})`)
    .join(', ');
}

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return 'a process that has ended';
  }
}
