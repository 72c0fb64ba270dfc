import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { PerijoveError } from '../errors/error.js';
import type { HostSpec, SshTarget } from '../cluster/spec.js';
import { abortable } from '../net/abortable.js';
import type { HostConnection, SshPool } from './connection.js';
import { runScript, shellCommand, successOf, type ScriptRun } from './exec.js';
import { pinnedKeys } from './host-keys.js';
import { SshTransport } from './transport.js';
import { openTunnel, type Tunnel } from './tunnel.js';
import { downloadFile, uploadFile, type StreamedOptions } from './upload.js';

const defaultTimeoutMs = 60_000;
/** A busy machine may need some time to run the first command of a login. */
const loginTimeoutMs = 30_000;
/** Tries whether a login runs commands. */
const plain = { script: 'exit 0', become: false } as const;

export interface SshPoolOptions {
  readonly logger: Logger;
  /** Directory for pinned keys of hosts without a known_hosts file: one file per host. */
  readonly knownHostsDir: string;
}

/**
 * The SSH connections of one worker: one per host, and one per jump host, shared by the hosts behind it. A
 * keep-alive is sent every 5 s; a connection is closed after 3 without a response.
 */
export function createSshPool({ logger, knownHostsDir }: SshPoolOptions): SshPool {
  const transports = new Map<string, SshTransport>();
  const logins = new Set<SshTransport>();
  const tunnels = new Map<string, Promise<Tunnel>>();
  let closed = false;

  const transportTo = (host: string, target: SshTarget, jump?: SshTarget): SshTransport => {
    const key = JSON.stringify([target, jump]);
    const known = transports.get(key);
    if (known !== undefined) return known;
    const through = jump === undefined ? {} : { through: transportTo(`${host} (jump host)`, jump) };
    const transport = new SshTransport({ host, target, ...through, knownHostsDir, logger });
    transports.set(key, transport);
    return transport;
  };

  const login = async (host: HostSpec) => {
    if (closed) throw closedError();
    const through =
      host.jump === undefined ? {} : { through: transportTo(`${host.name} (jump host)`, host.jump) };
    const transport = new SshTransport({
      ...{ host: host.name, target: host.ssh, ...through, knownHostsDir, logger },
    });
    logins.add(transport);
    try {
      const run = { ...plain, host: host.name, user: host.ssh.user, timeoutMs: loginTimeoutMs };
      successOf(await runScript(await transport.exec(shellCommand(false)), run));
    } finally {
      logins.delete(transport);
      await transport.end();
    }
  };

  const listen = async (key: string, dial: () => Promise<Duplex>) => {
    if (closed) throw closedError();
    let tunnel = tunnels.get(key);
    if (tunnel === undefined) {
      tunnel = openTunnel(dial, (error) =>
        logger.debug({ err: error, tunnel: key }, 'a tunnel could not be opened'),
      );
      tunnels.set(key, tunnel);
      tunnel.catch(() => tunnels.delete(key));
    }
    return (await tunnel).endpoint;
  };

  return {
    listen,
    pinned: (hosts) => pinnedKeys(hosts, knownHostsDir),
    async get(host) {
      if (closed) throw closedError();
      const transport = transportTo(host.name, host.ssh, host.jump);
      await transport.client();
      return connectionTo(host, transport, { listen, login: () => login(host) });
    },
    async close() {
      closed = true;
      await Promise.all([
        ...[...tunnels.values()].map(async (tunnel) => (await tunnel).close()),
        ...[...transports.values(), ...logins].map((transport) => transport.end()),
      ]);
    },
  };
}

function connectionTo(
  host: HostSpec,
  transport: SshTransport,
  { listen, login }: Pick<SshPool, 'listen'> & Pick<HostConnection, 'login'>,
): HostConnection {
  const { name, ssh } = host;
  const start = async (run: ScriptRun) => {
    try {
      return await runScript(await transport.exec(shellCommand(run.become)), run);
    } catch (error) {
      const isSudos = error instanceof PerijoveError && error.code === 'SUDO_REFUSED';
      if (!isSudos) throw error;
      // If the login itself runs no commands, sudo was never asked.
      const { host, user, timeoutMs } = run;
      await runScript(await transport.exec(shellCommand(false)), { ...plain, host, user, timeoutMs });
      throw error;
    }
  };
  const exec = async (script: string, { sink, input, ...options }: StreamedOptions = {}) => {
    const { become = host.become === 'sudo', timeoutMs = defaultTimeoutMs, signal } = options;
    const run: ScriptRun = {
      ...{ host: name, user: ssh.user, script, become, timeoutMs },
      ...(signal === undefined ? {} : { signal }),
      ...(input === undefined ? {} : { input }),
      ...(sink === undefined ? {} : { sink }),
    };
    return abortable(
      transport.sessions(async () => {
        signal?.throwIfAborted();
        return start(run);
      }),
      signal,
    );
  };

  return {
    host,
    exec: (script, options) => exec(script, options),
    run: async (script, options) => successOf(await exec(script, options)),
    upload: (source, path, options) => uploadFile({ host: name, exec }, source, path, options),
    download: (path, file, options = {}) => downloadFile({ host: name, exec }, path, file, options),
    dial: (address, port) => transport.dial(address, port),
    login,
    forward: (address, port) =>
      listen(`${transport.identity} ${address}:${port}`, () => transport.dial(address, port)),
  };
}

function closedError(): PerijoveError {
  return new PerijoveError('SSH_LOST', 'the SSH connections of this worker are closed');
}
