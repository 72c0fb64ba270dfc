import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { observeDaemons, parseDaemons } from '../../src/hosts/daemons.js';
import { dockerItems } from '../../src/hosts/docker.js';
import type { DaemonItem } from '../../src/hosts/items.js';
import { installedScript, parsePackages } from '../../src/hosts/substitutes.js';
import { makeHost, makeSpec } from '../support/spec.js';

const sh = (lines: readonly string[]) => execFileSync('sh', { input: lines.join('\n'), encoding: 'utf8' });
const daemon = (name: string, answers: string): DaemonItem => ({ name, answers, usedBy: ':' });

describe('observeDaemons', () => {
  it('tells of each daemon whether it answers, whatever it prints and whatever fails', () => {
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
  it('takes the programs of a package for the package', () => {
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
    ['is cut short within a line', "printf 'package installed libc6\\npackage inst'"],
  ])('does not take a package for missing when dpkg-query %s', (_, dpkg) => {
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

  it('knows that nothing is installed as a package where there is no dpkg', () => {
    const output = sh(['command() { false; }', ...installedScript(['libc6'])]);
    expect(parsePackages(output, ['libc6'])).toEqual({ known: true, value: new Set() });
  });
});

describe('dockerItems', () => {
  const docker = makeSpec({ nodes: { containerizer: 'docker' } });
  const inImages = makeSpec({ mesos: { install: { kind: 'image', image: 'mesos:1' } } });

  it('wants Docker where nodes run in it', () => {
    expect(dockerItems(docker, makeHost('h1'))).toMatchObject({
      packages: ['docker.io', 'iptables'],
      daemons: [{ name: 'docker' }],
    });
    expect(dockerItems(docker, makeHost('h1', { roles: ['master', 'proxy'] })).daemons).toBeUndefined();
    expect(dockerItems(makeSpec(), makeHost('h1')).packages).toEqual([]);
  });

  it('wants it where Mesos runs in it', () => {
    expect(dockerItems(inImages, makeHost('h1', { roles: ['master'] })).daemons).toHaveLength(1);
    expect(dockerItems(inImages, makeHost('h1', { roles: ['zookeeper'] })).daemons).toBeUndefined();
  });
});
