import { readFileSync } from 'node:fs';
import { FlagError } from './flags.js';

export interface ZooKeeperUrl {
  /** `host:port,host:port` */
  readonly servers: string;
  /** With the leading slash. */
  readonly path: string;
  /** `user:password` */
  readonly digest?: string;
}

/**
 * Parses `zk://host1:port1,host2:port2/path`, optionally with `user:password@` before the hosts, or
 * `file:///path` of a file that contains such a URL.
 *
 * @throws FlagError
 */
export function parseZooKeeperUrl(text: string): ZooKeeperUrl {
  const url = text.startsWith('file://') ? readFileSync(text.slice('file://'.length), 'utf8').trim() : text;
  const match = /^zk:\/\/(?:([^@/]+)@)?([^@/]+)(\/.*)?$/.exec(url);
  const servers = match?.[2];
  if (servers === undefined)
    throw new FlagError("Expecting a ZooKeeper URL of the form 'zk://host:port/path'");
  const path = (match?.[3] ?? '/').replace(/\/+$/, '');
  if (path === '') throw new FlagError('Expecting a (chroot) path for the ZooKeeper URL, not the root');
  const digest = match?.[1];
  return { servers, path, ...(digest !== undefined && { digest }) };
}
