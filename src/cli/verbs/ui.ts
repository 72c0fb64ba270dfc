import { readFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { isIP, type AddressInfo } from 'node:net';
import { exitCodes, messageOf, PerijoveError } from '../../errors/error.js';
import type { Door } from '../../ui/access.js';
import type { ClusterView } from '../../ui/view.js';
import { statusMetrics } from '../../status/metrics.js';
import { defineCommand, type CommandContext } from '../command.js';
import { withHosts } from '../hosts.js';
import { printJson, printText } from '../io.js';
import { listening, serveUntil } from '../listening.js';
import { fileArgument, fileOption, givenFile, openSpec } from '../spec-file.js';
import { pageRecordFile } from '../status-page.js';
import { temporalUi } from '../temporal-ui.js';
import { temporalOptions, temporalSettings } from '../temporal.js';
import { versionText } from '../version.js';

const defaultPlace = '127.0.0.1:8490';
const intervalMs = 1_000;
/** While the cluster is ready and its workflows do nothing. */
const longestMs = 5_000;

export const uiCommand = defineCommand({
  name: 'ui',
  summary: 'serve the status page',
  description:
    'Serves a page that shows the cluster and what happens in it, until Ctrl-C, and prints a link that opens it. ' +
    'It only reads. It observes the cluster as `perijove status --watch` does, once for all viewers, and not at all ' +
    'while nobody looks. The same server answers GET /api/status with the document of `perijove status --json`, ' +
    'GET /api/elections with the last elections, GET /api/events with server-sent events, and GET /metrics with metrics for Prometheus, each to requests with ' +
    'Authorization: Bearer and the token. Beyond loopback it wants a certificate.',
  args: { file: fileArgument },
  options: {
    file: fileOption,
    listen: {
      flags: '--listen <address>',
      description: `address:port to listen on (default: ${defaultPlace})`,
    },
    hostname: {
      flags: '--hostname <names>',
      description: 'other names by which browsers reach it, separated by commas',
    },
    tokenFile: {
      flags: '--token-file <file>',
      description: 'file with the token (default: a new token at each start)',
    },
    tlsCertificate: {
      flags: '--tls-certificate <file>',
      description: 'serve HTTPS with this certificate and its chain, as PEM',
    },
    tlsKey: { flags: '--tls-key <file>', description: 'private key of the certificate' },
    ...temporalOptions,
  },
  onInterrupt: 'service',
  examples: [
    ['perijove ui', 'serve it on this machine'],
    ['perijove open status', 'open it in the browser'],
  ],
  async run(context, { args, options }) {
    const { spec, absolute } = await openSpec(context, givenFile(args.file, options.file));
    const { address, port } = placeOf(options.listen ?? defaultPlace);
    const tls = await tlsOf(options.tlsCertificate, options.tlsKey);
    if (tls === undefined && !isLoopback(address)) {
      throw new PerijoveError('USAGE', `others can reach ${address} and read what passes`, {
        remedy: 'Pass --tls-certificate and --tls-key, or listen on 127.0.0.1.',
      });
    }
    const [
      { ElectionReader },
      { FollowedSpec },
      { Feed },
      { Observer },
      { pageFiles },
      { createPageServer },
      { newToken },
    ] = await Promise.all([
      import('../../ui/elections.js'),
      import('../../ui/followed-spec.js'),
      import('../../ui/feed.js'),
      import('../../ui/observer.js'),
      import('../../ui/files.js'),
      import('../../ui/server.js'),
      import('../../ui/record.js'),
    ]);
    const token = options.tokenFile === undefined ? newToken() : await tokenIn(options.tokenFile);
    // Ctrl-C ends it in order.
    return withHosts({ env: context.env, signal: new AbortController().signal }, async (pool) => {
      const followed = new FollowedSpec(absolute, spec);
      const observer = new Observer({
        ...{ spec: () => followed.current(), pool, version: versionText() },
        temporal: temporalSettings(context, options, absolute),
        temporalUi: await temporalUi(context, options, absolute).catch(() => null),
      });
      const elections = new ElectionReader(() => followed.current(), pool);
      const feed = new Feed<ClusterView>({
        observe: () => observer.observe(),
        intervalMs,
        calm: {
          isCalm: ({ status, silences }) => status.phase === 'ready' && silences.length === 0,
          pulse: () => observer.pulse(),
          longestMs,
        },
      });
      const scheme = tls === undefined ? 'http' : 'https';
      const door: Door = { ...{ token, scheme, port }, names: namesOf(address, options.hostname) };
      const answers = {
        '/api/status': async () => jsonOf((await feed.latest()).view.status),
        '/api/view': async () => jsonOf(await feed.latest()),
        '/api/elections': async () => jsonOf(await elections.read()),
        '/metrics': async () => ({
          type: 'text/plain; version=0.0.4; charset=utf-8',
          body: statusMetrics((await feed.latest()).view.status),
        }),
      };
      const server = createPageServer({ feed, files: await pageFiles(), answers, tls }, () => ({
        ...door,
        port: (server.address() as AddressInfo).port,
      }));
      try {
        await serve(context, server, { address, door, note: pageRecordFile(spec, absolute, context.env) });
      } finally {
        feed.close();
        await observer.close();
      }
      return exitCodes.done;
    });
  },
});

interface Place {
  readonly address: string;
  readonly door: Door;
  /** Where it is noted while it runs. */
  readonly note: string;
}

async function serve(context: CommandContext, server: Server, { address, door, note }: Place): Promise<void> {
  const [{ loginUrl }, { writeRecord, removeRecord }] = await Promise.all([
    import('../../ui/access.js'),
    import('../../ui/record.js'),
  ]);
  await listening(server.listen(door.port, address), `${address}:${door.port}`);
  const { port } = server.address() as AddressInfo;
  const [name = address] = [
    ...door.names.filter((each) => isIP(each) === 0 && each !== 'localhost'),
    address,
  ];
  const origin = `${door.scheme}://${name.includes(':') ? `[${name}]` : name}:${port}`;
  await writeRecord(note, { version: 1, origin, token: door.token, pid: process.pid });
  const url = loginUrl(origin, door.token);
  if (context.json) printJson(context, { url });
  else printText(context, `${url}\n`);
  await serveUntil(context.signal, server);
  await removeRecord(note, process.pid);
}

function jsonOf(value: unknown): { readonly type: string; readonly body: string } {
  return { type: 'application/json', body: `${JSON.stringify(value, null, 2)}\n` };
}

/** @throws PerijoveError USAGE */
function placeOf(text: string): { readonly address: string; readonly port: number } {
  const { bracketed, plain, port } =
    /^(?:\[(?<bracketed>.+)\]|(?<plain>[^:]+)):(?<port>\d{1,5})$/.exec(text)?.groups ?? {};
  const address = bracketed ?? plain;
  if (address === undefined || isIP(address) === 0 || Number(port) > 65_535) {
    throw new PerijoveError('USAGE', `--listen: not an address and a port: ${text}`, {
      remedy: `Example: --listen ${defaultPlace}`,
    });
  }
  return { address, port: Number(port) };
}

function namesOf(address: string, more: string | undefined): readonly string[] {
  const local = address === '127.0.0.1' || address === '::1' ? ['localhost'] : [];
  return [address, ...local, ...(more === undefined ? [] : more.split(',').map((name) => name.trim()))];
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

/** @throws PerijoveError USAGE, LOCAL_FILE */
async function tlsOf(certificate: string | undefined, key: string | undefined) {
  if (certificate === undefined && key === undefined) return undefined;
  if (certificate === undefined || key === undefined) {
    throw new PerijoveError('USAGE', '--tls-certificate and --tls-key belong together', {
      remedy: 'Pass both, or neither.',
    });
  }
  return { cert: await textIn(certificate), key: await textIn(key) };
}

/** @throws PerijoveError LOCAL_FILE */
async function tokenIn(file: string): Promise<string> {
  const token = (await textIn(file)).trim();
  if (token === '') throw new PerijoveError('LOCAL_FILE', `${file} is empty`, { file });
  return token;
}

async function textIn(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new PerijoveError('LOCAL_FILE', `${file}: ${messageOf(cause)}`, { file, cause });
  });
}
