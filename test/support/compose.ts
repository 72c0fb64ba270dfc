import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { expect } from 'vitest';
import type { ClusterStatus } from '../../src/status/cluster-status.js';
import { runCell } from '../../src/jupyter/client.js';
import type { ClusterSpec } from '../../src/cluster/spec.js';
import { ComposeProject } from './compose-project.js';
import { expectReady } from './status.js';

/** The cluster on the servers of docker-compose.yml, with expectations of tests. */
export class ComposeCluster extends ComposeProject {
  /**
   * Waits until the status satisfies `assertion`. One program observes every second: starting one for each
   * observation would keep a core busy.
   */
  async eventually(assertion: (status: ClusterStatus) => void, timeoutMs = 90_000): Promise<ClusterStatus> {
    // Docker does not end a command with its client; this one ends with its input.
    const script = 'perijove status --watch --json & cat; kill $!';
    const [program, ...args] = await this.inside('worker-1', 'sh', '-c', script);
    args.splice(1, 0, '--interactive');
    const watch = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = once(watch, 'close');
    const end = () => watch.stdin.end();
    const timeout = setTimeout(end, timeoutMs);
    let failure: unknown = new Error(`no status within ${timeoutMs} ms`);
    try {
      for await (const status of documents(watch.stdout)) {
        try {
          assertion(status);
          return status;
        } catch (error) {
          failure = error;
        }
      }
      throw failure;
    } finally {
      clearTimeout(timeout);
      end();
      watch.stdout.resume();
      await ended;
    }
  }

  ready(timeoutMs?: number): Promise<ClusterStatus> {
    return this.eventually(expectReady, timeoutMs);
  }

  /**
   * Adapts the spec to this machine: puts the workers' key into a directory, which also holds pinned host
   * keys.
   */
  async fromHere(spec: ClusterSpec, directory: string): Promise<ClusterSpec> {
    const keyFile = path.join(directory, 'key');
    const key = await this.run(await this.inside('worker-1', 'cat', spec.hosts[0]?.ssh.keyFile ?? 'no key'));
    await writeFile(keyFile, key, { mode: 0o600 });
    return { ...spec, hosts: spec.hosts.map((host) => ({ ...host, ssh: { ...host.ssh, keyFile } })) };
  }

  /** Jupyter for a browser on this machine, by host name. */
  async jupyter(): Promise<ReadonlyMap<string, Entrance>> {
    const found = await this.json<{ readonly host: string; readonly url: string }[]>(
      'open',
      'jupyter',
      '--url',
    );
    return new Map(
      found.map(({ host, url }) => {
        const address = new URL(url);
        return [host, new Entrance(address.origin, address.searchParams.get('token') ?? '')];
      }),
    );
  }
}

/** The indented JSON documents of a stream. */
async function* documents(stream: Readable): AsyncGenerator<ClusterStatus> {
  let text = '';
  for await (const line of createInterface({ input: stream })) {
    text += line;
    if (line !== '}') continue;
    yield JSON.parse(text) as ClusterStatus;
    text = '';
  }
}

/** Jupyter through one host. */
export class Entrance {
  constructor(
    readonly url: string,
    readonly token: string,
  ) {}

  cell(code: string): Promise<string> {
    return runCell(this.url, this.token, code);
  }

  async save(file: string, text: string): Promise<void> {
    const response = await fetch(`${this.url}/api/contents/${file}`, {
      method: 'PUT',
      headers: { authorization: `token ${this.token}` },
      body: JSON.stringify({ type: 'file', format: 'text', content: text }),
    });
    expect(response.status).toBe(201);
  }

  async read(file: string): Promise<unknown> {
    const response = await fetch(`${this.url}/api/contents/${file}`, {
      headers: { authorization: `token ${this.token}` },
    });
    expect(response.status).toBe(200);
    return ((await response.json()) as { content: unknown }).content;
  }
}
