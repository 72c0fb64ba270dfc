/** What a spec may name arrives in every program as it is written, by whatever shell or unit file. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { clusterFile } from '../../src/cluster/schema.js';
import { schemaAt } from '../../src/cluster/shape.js';
import type { ClusterSpec } from '../../src/cluster/spec.js';
import type { ServiceItem } from '../../src/hosts/items.js';
import { renderRunit } from '../../src/hosts/runit.js';
import { renderSystemd } from '../../src/hosts/systemd.js';
import { agentItems, masterItems } from '../../src/mesos/installation/items.js';
import { nodeCommand, nodeConfig } from '../../src/node/config.js';
import { nodeWrapper } from '../../src/node/items.js';
import { nodeScripts } from '../../src/node/scripts.js';
import { proxyItems } from '../../src/proxy/items.js';
import { storageItems } from '../../src/storage/items.js';
import { zookeeperItems } from '../../src/zookeeper/items.js';
import { makeHost, makeSpec } from '../support/spec.js';

let directory: string;
let stubs: string;
beforeAll(() => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'perijove-odd-'));
  stubs = path.join(directory, 'stubs');
  mkdirSync(stubs);
  writeProgram(path.join(stubs, 'chpst'), `shift\n${printArguments}`);
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

const printArguments = `printf '%s\\0' "$@"`;

function writeProgram(file: string, text: string): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${text}\n`);
  chmodSync(file, 0o755);
}

function runScript(text: string): string[] {
  const output = execFileSync('sh', ['-s'], {
    input: text,
    env: { ...process.env, PATH: `${stubs}:${process.env['PATH'] ?? ''}` },
    stdio: ['pipe', 'pipe', 'pipe'],
  }).toString();
  return output.split('\0').slice(0, -1);
}

/** What the schema accepts of any path. */
function acceptedPaths(key: readonly string[]): fc.Arbitrary<string> {
  const schema = schemaAt(clusterFile, key) ?? z.never();
  const special = fc.constantFrom(...'.-_+@~ =&|<>()[]{}*?!#$^\'"`\\%;:,\t\n\u0007\u00a0é笔'.split(''));
  const part = fc.string({
    unit: fc.oneof(special, fc.constantFrom('a', 'Z', '0')),
    minLength: 1,
    maxLength: 6,
  });
  return fc
    .array(part, { minLength: 1, maxLength: 3 })
    .map((parts) => `/${parts.join('/')}`)
    .filter((candidate) => z.safeParse(schema, candidate).success);
}

/** Of flags, all of ASCII but what is refused. */
const flagValues = fc.string({
  unit: fc.constantFrom(...' \t\n!"#$%&\'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~é'.split('')),
  maxLength: 12,
});

const specs = fc
  .record({
    dir: acceptedPaths(['hosts', '0', 'dir']),
    shared: acceptedPaths(['storage', 'path']),
    prefix: acceptedPaths(['mesos', 'install', 'path']),
    value: flagValues,
  })
  .map(({ dir, shared, prefix, value }): ClusterSpec => {
    const base = makeSpec({ hosts: [makeHost('h1', { dir: `${directory}${dir}` })] });
    return {
      ...base,
      zookeeper: { ...base.zookeeper, digest: true },
      storage: { kind: 'path', path: `${directory}/shared${shared}` },
      mesos: {
        ...base.mesos,
        cluster: value,
        principal: 'perijove',
        install: { kind: 'path', path: prefix },
        masterFlags: { a: value },
        agentFlags: { b: value },
      },
    };
  });

const hostOf = (spec: ClusterSpec) => spec.hosts[0] ?? makeHost('h1');

function servicesOf(spec: ClusterSpec): readonly ServiceItem[] {
  const host = hostOf(spec);
  const mounted: ClusterSpec = {
    ...spec,
    storage: { kind: 'gluster', volume: 'v', brick: '/srv/b', mount: '/srv/m', pingTimeoutMs: 3000 },
  };
  return [
    ...[zookeeperItems, masterItems, agentItems, proxyItems].map((items) => items(spec, host)),
    storageItems(mounted, host),
  ].flatMap(({ services }) => services);
}

describe('whatever a spec may name', () => {
  it('is what runit gives to the programs', () => {
    fc.assert(
      fc.property(specs, (spec) => {
        for (const service of servicesOf(spec)) {
          mkdirSync(`${hostOf(spec).dir}/run`, { recursive: true });
          const [run, finish, log] = renderRunit(hostOf(spec), { ...service, afterEnd: ['true'] });
          const once = service.once === undefined ? 0 : 4;
          expect(runScript(run?.text ?? '').slice(once)).toEqual(service.exec);
          for (const { text } of [finish, log].flatMap((file) => file ?? [])) {
            execFileSync('sh', ['-n'], { input: text });
          }
          expect(existsSync(`${hostOf(spec).dir}/run/${service.name}.running`)).toBe(true);
        }
      }),
      { numRuns: 8 },
    );
  });

  it('is what systemd gives to the programs', () => {
    fc.assert(
      fc.property(specs, (spec) => {
        for (const service of servicesOf(spec)) {
          const unit = renderSystemd(hostOf(spec), spec.name, service).at(-1)?.text ?? '';
          const lines = (key: string) =>
            unit
              .split('\n')
              .flatMap((line) => (line.startsWith(`${key}=`) ? [line.slice(key.length + 1)] : []));
          expect(lines('ExecStart').map(commandOf)).toEqual([service.exec]);
          expect(lines('ExecStartPre').map((line) => commandOf(line.replace('+/bin/sh ', '')))).toEqual([
            [`${hostOf(spec).dir}/etc/services/${service.name}.record`],
          ]);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('is what the shell of a master writes its secrets to', () => {
    fc.assert(
      fc.property(specs, (spec) => {
        const { dir } = hostOf(spec);
        const [service] = masterItems(spec, hostOf(spec)).services;
        const [shell = '', ...words] = service?.exec ?? [];
        for (const made of ['run', 'etc/secrets']) mkdirSync(`${dir}/${made}`, { recursive: true });
        writeFileSync(`${dir}/etc/secrets/zookeeper-digest`, 'u:p\n');
        writeFileSync(`${dir}/etc/secrets/mesos-credential`, '{}\n');
        const program = words.findIndex((word) => word.endsWith('/sbin/mesos-master'));
        const output = execFileSync(shell, words.with(program, path.join(stubs, 'chpst')));
        expect(output.toString().split('\0').slice(0, -1)).toEqual(words.slice(program + 2));
      }),
      { numRuns: 8 },
    );
  });

  it('is where a node finds its programs', () => {
    fc.assert(
      fc.property(specs, (spec) => {
        const host = hostOf(spec);
        const bin = `${host.dir}/bin`;
        const config = nodeConfig(spec, 0, host);
        writeProgram(`${bin}/perijove-node`, printArguments);
        expect(runScript(nodeCommand(spec, 0, host, { etcdFormed: true }).value)).toEqual(['start', '0']);

        writeProgram(`${bin}/node`, printArguments);
        expect(runScript(nodeWrapper(bin)).at(-1)).toBe(`${bin}/perijove-node.mjs`);

        const jupyter = `${bin}/jupyter-lab`;
        writeProgram(jupyter, `printf '%s\\0' "$PWD" "$JUPYTERLAB_SETTINGS_DIR" "$@"`);
        mkdirSync(config.jupyter.notebooks, { recursive: true });
        const programs = { etcd: '', jupyter, sshd: jupyter, ssh: '', scp: '', sftp: '', svlogd: '' };
        const scripts = nodeScripts(config, programs);
        const text = (name: string) =>
          scripts.find((script) => script.path === `${config.paths.base}/${name}`)?.text ?? '';
        writeProgram(`${config.paths.base}/bin/sweep`, 'exit 0');
        expect(runScript(text('service/jupyter/run'))).toEqual([
          config.jupyter.notebooks,
          `${config.jupyter.notebooks}/.jupyter/lab/user-settings`,
          `--config=${config.paths.base}/etc/jupyter/jupyter_server_config.py`,
        ]);
        expect(runScript(text('service/sshd/run')).slice(2)).toEqual([
          ...['-D', '-e', '-f', `${config.paths.base}/etc/sshd_config`],
        ]);
        expect(runScript(text('service/control/run'))).toEqual(['serve', config.paths.base]);
        for (const script of scripts) execFileSync('sh', ['-n'], { input: script.text });
      }),
      { numRuns: 6 },
    );
  });
});

/** The words of a command line, as systemd.syntax(7) and systemd.service(5) have it. */
function commandOf(line: string): string[] {
  const words = [...line.matchAll(/"((?:[^"\\]|\\.)*)"(?: |$)/g)];
  expect(words.map(([word]) => word).join('')).toBe(line);
  return words.map(([, word = '']) => {
    expect(word.replaceAll('%%', '').replaceAll('$$', '')).not.toMatch(/[%$]/);
    const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', '"': '"', '\\': '\\' };
    return word
      .replaceAll(/\\(.)/g, (whole, character: string) => escapes[character] ?? whole)
      .replaceAll('%%', '%')
      .replaceAll('$$', '$');
  });
}
