/** `perijove-proxy-worker CONFIG`: serves the sockets that `perijove-proxy` keeps (`primary.ts`). */
import { EventEmitter, once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Server, ServerResponse } from 'node:http';
import net from 'node:net';
import { pino } from 'pino';
import { messageOf, PerijoveError } from '../../errors/error.js';
import { createApiServer } from './api-server.js';
import { proxyConfigSchema, type ProxyConfig } from '../config.js';
import { routeOrderSchema } from '../api.js';
import { addHttps } from './https.js';
import { readTokens } from '../../net/tokens.js';
import { JupyterProxy } from './jupyter-proxy.js';
import { Kernels } from './kernels/kernels.js';
import { drainMessage, isHandover, servingMessage, type Handover } from './messages.js';
import { RouteFile } from './route-file.js';
import { Router } from './router.js';

/** Time limit for in-flight requests after SIGTERM. */
const shutdownMs = 2_000;
/** Time limit for connections after another worker has taken over. */
const drainMs = 3_600_000;

const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime });

async function listen(server: Server, { address, port }: ProxyConfig['listen'], what: string): Promise<void> {
  server.listen(port, address);
  try {
    await once(server, 'listening');
  } catch (error) {
    const place = `${address}:${port}`;
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
      throw new PerijoveError('PORT_IN_USE', `${place}, the address of ${what}, is used by another program`, {
        subject: place,
      });
    }
    throw error;
  }
}

/** Undefined where nodes have no door yet: the hosts had no `up` by this release. */
async function kernelsOf({ kernels }: ProxyConfig, router: Router): Promise<Kernels | undefined> {
  if (kernels === undefined) return undefined;
  const { port, placement, tokenFile } = kernels;
  const token = (await readFile(tokenFile, 'utf8').catch(() => '')).trim();
  if (token !== '') return new Kernels({ router, token, port, placement });
  logger.warn({ tokenFile }, 'no token for the kernels of nodes: everything goes to the serving node');
  return undefined;
}

async function start(configFile: string): Promise<void> {
  const config = proxyConfigSchema.parse(JSON.parse(await readFile(configFile, 'utf8')));
  const tokens = await readTokens(config.tokenFile);
  const [token] = tokens;

  const routeFile = new RouteFile(config.routeFile, logger);
  const stored = await routeFile.load();
  const { listen: place } = config;
  const self = `${place.address}:${place.port}`;
  const router = new Router({
    ...{ self, secrets: tokens, logger },
    onChange: (route) => void routeFile.store(route),
  });
  if (stored) router.restore(stored);
  const { cluster, host, tls } = config;
  const kernels = await kernelsOf(config, router);
  const https = tls && { self, hstsSeconds: tls.hstsSeconds };
  const proxy = new JupyterProxy({ ...{ cluster, host, router, logger, secret: token }, https, kernels });
  const unwatch = tls && (await addHttps(proxy.server, { file: tls.file, logger }));
  const api = createApiServer({ router, tokens, routeFile, logger });
  const servers = [proxy.server, api];
  const underWay = new Set<ServerResponse>();
  const ended = new EventEmitter();
  for (const server of servers) {
    server.on('request', (_request, response: ServerResponse) => {
      underWay.add(response);
      response.once('close', () => {
        underWay.delete(response);
        if (underWay.size === 0) ended.emit('all');
      });
    });
  }

  const stop = async (signal: string): Promise<void> => {
    logger.info({ signal, requests: underWay.size }, 'stopping');
    for (const server of servers) {
      server.close();
      server.closeIdleConnections();
    }
    // Websockets do not end; do not wait for them.
    if (underWay.size > 0) {
      await once(ended, 'all', { signal: AbortSignal.timeout(shutdownMs) }).catch(() => undefined);
    }
    logger.info({ cut: underWay.size }, 'stopped');
    process.exit(0);
  };
  process.once('SIGTERM', (signal) => void stop(signal));
  process.once('SIGINT', (signal) => void stop(signal));

  /** Accepts nothing more, cuts nothing, and exits when the last connection has ended. */
  const drain = async (): Promise<void> => {
    logger.info('draining');
    // An order that only this worker had would be lost: its senders find the new worker.
    const apiClosed = stopListening(api);
    api.closeAllConnections();
    routeFile.close();
    if (router.route) tell({ kind: 'handover', route: router.route });
    proxy.drain();
    unwatch?.();
    const late = setTimeout(() => void stop('drain'), drainMs);
    await Promise.all([apiClosed, stopListening(proxy.server)]);
    clearTimeout(late);
    logger.info('drained');
    process.exit(0);
  };
  process.on('message', (message) => {
    if (message === drainMessage) void drain();
    // Of the same generation or an earlier one: it changes nothing.
    else if (isHandover(message)) router.take(routeOrderSchema.parse(message.route));
  });

  await listen(api, config.api, 'the API');
  await listen(proxy.server, config.listen, 'Jupyter');
  logger.info({ listen: config.listen, api: config.api, route: router.route ?? null }, 'serving');
  tell(servingMessage);
}

/** To the primary process, if there is one. */
function tell(message: string | Handover): void {
  if (process.connected) process.send?.(message);
}

/** Unlike `http.Server.close`, ends no idle connection: its client may just be sending a request. */
function stopListening(server: Server): Promise<void> {
  return new Promise((resolve) => void net.Server.prototype.close.call(server, () => resolve()));
}

const [configFile] = process.argv.slice(2);
if (configFile === undefined) {
  process.stderr.write('usage: perijove-proxy-worker CONFIG\n');
  process.exit(2);
}
start(configFile).catch((error: unknown) => {
  if (error instanceof PerijoveError) {
    logger.fatal({ code: error.code, place: error.place, remedy: error.remedy }, error.message);
    process.stderr.write(`perijove-proxy: ${error.code}: ${error.message}\n${error.remedy}\n`);
  } else {
    logger.fatal({ err: error }, 'cannot start');
    process.stderr.write(`perijove-proxy: cannot start: ${messageOf(error)}\n`);
  }
  process.exit(1);
});
