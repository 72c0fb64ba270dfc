import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { observeDaemons, parseDaemons } from '../../src/hosts/daemons.js';
import { dockerDaemon, dockerItems } from '../../src/hosts/docker.js';
import { glusterDaemon } from '../../src/storage/items.js';
import type { DaemonItem } from '../../src/hosts/items.js';
import { installedScript, parsePackages } from '../../src/hosts/substitutes.js';
import { makeHost, makeSpec } from '../support/spec.js';

const sh = (lines: readonly string[]) => execFileSync('sh', { input: lines.join('\n'), encoding: 'utf8' });
const daemon = (name: string, answers: string): DaemonItem => ({ name, answers, usedBy: ':' });

describe('observeDaemons', () => {
  it('reports whether each daemon responds, whatever it prints and whatever fails', () => {
    const output = sh([
      'set -u',
      ...observeDaemons([
        daemon('perijove-a', 'echo daemon x yes yes; echo loud >&2'),
        daemon('perijove-b', 'echo 1; false'),
        daemon('perijove-c', 'no-such-program-of-perijove'),
      ]),
    ]);
    expect([...parseDaemons(output)]).toEqual([
      ['perijove-a', { answers: true, boots: true }],
      ['perijove-b', { answers: false, boots: true }],
      ['perijove-c', { answers: false, boots: true }],
    ]);
  });
});

describe('installedScript', () => {
  it('counts a package as installed if its programs exist', () => {
    const has = (...packages: string[]) => {
      const output = sh(['docker() { :; }; dockerd() { :; }', ...installedScript(packages)]);
      const observed = parsePackages(output, packages);
      return observed.known ? [...observed.value] : observed.why;
    };
    expect(has('docker.io')).toEqual(['docker.io']);
    expect(has('no-such-package', 'docker.io')).toEqual(['docker.io']);
    expect(has('libc6')).toEqual(['libc6']);
    expect(has()).toEqual([]);
  });

  it.each([
    ['fails', 'exit 2'],
    ['prints nothing', 'exit 0'],
    ['prints half', "echo 'package installed libc6'"],
    ['is truncated within a line', "printf 'package installed libc6\\npackage inst'"],
  ])('does not count a package as missing when dpkg-query %s', (_, dpkg) => {
    const directory = mkdtempSync(path.join(tmpdir(), 'perijove-dpkg-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    writeFileSync(path.join(directory, 'dpkg-query'), `#!/bin/sh\n${dpkg}\n`, { mode: 0o755 });
    const packages = ['libc6', 'dash'];
    const output = sh([`PATH=${directory}:$PATH`, ...installedScript(packages)]);
    expect(parsePackages(output, packages)).toMatchObject({
      known: false,
      why: expect.stringContaining('dash') as string,
    });
  });

  it('reports no package as installed if there is no dpkg', () => {
    const output = sh(['command() { false; }', ...installedScript(['libc6'])]);
    expect(parsePackages(output, ['libc6'])).toEqual({ known: true, value: new Set() });
  });
});

describe('dockerItems', () => {
  const docker = makeSpec({ nodes: { containerizer: 'docker' } });
  const inImages = makeSpec({ mesos: { install: { kind: 'image', image: 'mesos:1' } } });

  it('requires Docker if nodes run in it', () => {
    expect(dockerItems(docker, makeHost('h1'))).toMatchObject({
      packages: ['docker.io', 'iptables'],
      daemons: [{ name: 'docker' }],
    });
    expect(dockerItems(docker, makeHost('h1', { roles: ['master', 'proxy'] })).daemons).toBeUndefined();
    expect(dockerItems(makeSpec(), makeHost('h1')).packages).toEqual([]);
  });

  it('requires Docker if Mesos runs in it', () => {
    expect(dockerItems(inImages, makeHost('h1', { roles: ['master'] })).daemons).toHaveLength(1);
    expect(dockerItems(inImages, makeHost('h1', { roles: ['zookeeper'] })).daemons).toBeUndefined();
  });
});

describe('usedBy', () => {
  /** What `stopOwnDaemons` concludes, with a program of this text instead of the daemon's client. */
  function use(usedBy: string, program: string, text: string): 'not known' | 'none' | 'some' {
    const directory = mkdtempSync(path.join(tmpdir(), 'perijove-used-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    writeFileSync(path.join(directory, program), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    const output = sh([
      `PATH=${directory}:$PATH`,
      `if ! used=$({ ${usedBy}; } 2>/dev/null </dev/null); then echo 'not known'; elif [ -z "$used" ]; then echo none; else echo some; fi`,
    ]);
    return output.trim() as 'not known' | 'none' | 'some';
  }

  it.each([
    ['not known', 'exit 1'],
    ['not known', 'exit 0'],
    ['not known', 'case $1 in ps) ;; info) exit 1 ;; esac'],
    ['not known', 'case $1 in ps) ;; info) echo 3 ;; esac'],
    ['not known', 'case $1 in ps) exit 1 ;; info) echo 0 ;; esac'],
    ['not known', 'case $1 in ps) ;; info) echo 0 ;; esac'],
    ['none', 'case $1 in ps) echo "CONTAINER ID" ;; info) echo 0 ;; esac'],
    ['some', 'case $1 in ps) printf "CONTAINER ID\\n4711\\n" ;; info) echo 1 ;; esac'],
  ])('is %s for Docker with: %s', (expected, text) => {
    expect(use(dockerDaemon.usedBy, 'docker', text)).toBe(expected);
  });

  const pool = (...names: string[]) =>
    ['UUID Hostname State', ...names.map((name) => `1f ${name} Connected`)].join('\\n');
  const gluster = (volumes: string, peers: string) =>
    `case $2 in volume) printf '${volumes}' ;; pool) printf '${peers}' ;; esac`;
  it.each([
    ['not known', 'exit 1'],
    ['not known', 'exit 0'],
    ['not known', gluster('', pool('localhost'))],
    ['not known', gluster('No volumes present in cluster\\n', '')],
    ['not known', gluster('No volumes present in cluster\\n', 'UUID Hostname State\\n')],
    ['none', gluster('No volumes present in cluster\\n', pool('localhost'))],
    ['some', gluster('No volumes present in cluster\\n', pool('h2', 'localhost'))],
    ['some', gluster('notes\\n', pool('localhost'))],
  ])('is %s for GlusterFS with: %s', (expected, text) => {
    expect(use(glusterDaemon.usedBy, 'gluster', text)).toBe(expected);
  });
});
