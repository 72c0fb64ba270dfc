import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { keyAndCertificates } from '../../src/cluster/certificate.js';
import { proxyUrl, type HostSpec, type ProxyTlsFiles } from '../../src/cluster/spec.js';
import { proxyClient, type ProxyClient } from '../../src/proxy/client.js';
import { certificateFile, proxyConfig, proxyItems } from '../../src/proxy/items.js';
import { builtProgram } from './programs.js';
import { makeHost, makeSpec } from './spec.js';

export interface TestProxyOptions {
  /** A loopback address. */
  readonly address: string;
  readonly token?: string;
  readonly host?: HostSpec;
  /** Serves HTTPS. */
  readonly tls?: ProxyTlsFiles;
}

/** The real proxy program, with the flags and configuration of a host. */
export interface TestProxy {
  /** Jupyter's URL for users, without a trailing slash. */
  readonly url: string;
  readonly host: HostSpec;
  readonly client: ProxyClient;
  readonly token: string;
  readonly routeFile: string;
  /** The key and certificate on the host. */
  readonly certificateFile: string;
  /** The program of its workers. */
  readonly workerFile: string;
  /** The configuration of its workers. */
  readonly configFile: string;
  /** What PERIJOVE_RELOAD names. */
  readonly reloadFile: string;
  /** Of the primary process. */
  readonly pid: number;
  /** All its output so far. */
  output(): string;
  /** Resolves when it responds. */
  start(): Promise<void>;
  /** Sends the signal and resolves to the exit code. */
  end(signal: NodeJS.Signals): Promise<number | null>;
  /** Ends it and removes everything. */
  remove(): Promise<void>;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export async function startProxy(options: TestProxyOptions): Promise<TestProxy> {
  const dir = await mkdtemp(path.join(tmpdir(), 'perijove-proxy-'));
  const { address, token = 'the-proxy-token', tls } = options;
  const host = { ...(options.host ?? makeHost('h1', { address })), dir };
  const spec = makeSpec({ hosts: [host], ...(tls && { proxy: { tls } }) });
  const config = proxyConfig(spec, host);
  const program = await builtProgram('perijove-proxy');
  const workerFile = path.join(dir, 'worker.mjs');
  await copyFile(await builtProgram('perijove-proxy-worker'), workerFile);
  for (const item of proxyItems(spec, host).directories) await mkdir(item.path, { recursive: true });
  await mkdir(path.dirname(config.tokenFile), { recursive: true });
  await writeFile(config.tokenFile, `${token}\n`);
  if (tls) await place(tls, certificateFile(spec, host));
  const configFile = path.join(dir, 'proxy.json');
  const reloadFile = path.join(dir, 'proxy.reload');
  await writeFile(configFile, JSON.stringify(config));

  const [service] = proxyItems(spec, host).services;
  const flags = (service?.exec ?? []).filter((word) => word.startsWith('--'));
  const client = proxyClient({ host: config.api.address, port: config.api.port }, token);
  let output = '';
  let child: ChildProcess | undefined;

  const start = async (): Promise<void> => {
    const started = spawn(process.execPath, [...flags, program, workerFile, configFile], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PERIJOVE_RELOAD: reloadFile },
    });
    child = started;
    running.add(started);
    started.once('exit', () => running.delete(started));
    for (const stream of [started.stdout, started.stderr]) {
      stream.on('data', (data: Buffer) => (output += data.toString()));
    }
    await new Promise<void>((resolve, reject) => {
      const check = () => output.includes('"msg":"serving"') && resolve();
      started.stdout.on('data', check);
      started.once('exit', (code) => reject(new Error(`the proxy ended with ${code}: ${output}`)));
    });
  };
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    // Its workers have its output, and end with it.
    const ended = once(child, 'close');
    child.kill(signal);
    await ended;
    return child.exitCode;
  };

  const remove = async (): Promise<void> => {
    await end('SIGKILL');
    await rm(dir, { recursive: true, force: true });
  };

  try {
    await start();
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    url: proxyUrl(spec, host),
    certificateFile: certificateFile(spec, host),
    host,
    client,
    token,
    routeFile: config.routeFile,
    ...{ workerFile, configFile, reloadFile },
    get pid() {
      return child?.pid ?? 0;
    },
    output: () => output,
    start: async () => {
      output = '';
      await start();
    },
    end,
    remove,
  };
}

/** Puts a key and a certificate on a host, as `up` does. */
export async function place(
  { certificateFile: certificate, keyFile: key }: ProxyTlsFiles,
  file: string,
): Promise<void> {
  const text = keyAndCertificates(await readFile(certificate, 'utf8'), await readFile(key, 'utf8'));
  await writeFile(`${file}.new`, text, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

/** Resident memory of a process, in bytes. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
}
