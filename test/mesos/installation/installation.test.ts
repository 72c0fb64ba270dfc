import { describe, expect, it } from 'vitest';
import {
  installationProblems,
  mesosPrograms,
  parseInstallation,
  requireInstallation,
} from '../../../src/mesos/installation/installation.js';
import type { Install } from '../../../src/cluster/spec.js';
import { makeHost, makeSpec } from '../../support/spec.js';

const host = makeHost('h1', { roles: ['master', 'agent'] });
const specOf = (install: Install, masterFlags: Readonly<Record<string, string>> = {}) =>
  makeSpec({ hosts: [host], mesos: { install, masterFlags } });
const path = { kind: 'path', path: '/srv/mesos' } as const;
const tarball = { kind: 'tarball', url: 'file:///m.tar.gz', sha256: 'a'.repeat(64) } as const;
const whole = `there yes
program mesos-master /srv/mesos/sbin/mesos-master
version mesos-master 1.3.2
flags mesos-master acls cluster zk
program mesos-agent /srv/mesos/sbin/mesos-agent
version mesos-agent 1.3.2
flags mesos-agent attributes master
launcher-dir /srv/mesos/libexec/mesos
webui-dir /srv/mesos/share/mesos/webui
stamp 0123456789abcdef
`;
const problems = (install: Install, output: string, flags?: Readonly<Record<string, string>>) =>
  installationProblems(specOf(install, flags), host, parseInstallation(output));

describe('parseInstallation', () => {
  it('reads what the host has', () => {
    expect(parseInstallation(whole)).toEqual({
      isThere: true,
      programs: {
        'mesos-master': {
          path: '/srv/mesos/sbin/mesos-master',
          version: '1.3.2',
          flags: ['acls', 'cluster', 'zk'],
        },
        'mesos-agent': {
          path: '/srv/mesos/sbin/mesos-agent',
          version: '1.3.2',
          flags: ['attributes', 'master'],
        },
      },
      launcherDir: '/srv/mesos/libexec/mesos',
      webuiDir: '/srv/mesos/share/mesos/webui',
      stamp: '0123456789abcdef',
    });
    expect(parseInstallation('')).toEqual({ isThere: false, programs: {} });
  });
});

describe('installationProblems', () => {
  it('finds none in a complete installation, nor without one to check', () => {
    expect(problems(path, whole)).toEqual([]);
    expect(installationProblems(specOf({ kind: 'lab' }), host, undefined)).toEqual([]);
  });

  it('reports what is missing, and where', () => {
    const found = problems(path, '');
    expect(found.map(({ code }) => code)).toEqual(['MESOS_NOT_FOUND', 'MESOS_NOT_FOUND']);
    expect(found[0]).toMatchObject({
      host: 'h1',
      message: expect.stringMatching(
        /^h1: no mesos-master in \/srv\/mesos: searched for sbin\/mesos-master, bin\/mesos-master\.sh, /,
      ) as string,
    });
  });

  it('does not consider an archive or a package that is still to be installed a problem', () => {
    expect(problems(tarball, '')).toEqual([]);
    expect(problems({ kind: 'package', package: 'mesos' }, '')).toEqual([]);
    expect(problems(tarball, 'there yes\n').map(({ code }) => code)).toEqual([
      'MESOS_NOT_FOUND',
      'MESOS_NOT_FOUND',
    ]);
    expect(() => requireInstallation(specOf(tarball), host, parseInstallation(''))).toThrow(
      /^h1: no mesos-master in \S+: /,
    );
  });

  it('reports what a program prints instead of its version', () => {
    const broken = whole.replace(
      'version mesos-agent 1.3.2',
      'complaint mesos-agent error while loading shared libraries: libsvn_delta-1.so.0',
    );
    expect(problems(path, broken)).toMatchObject([
      {
        code: 'MESOS_NOT_RUNNABLE',
        message:
          'h1: /srv/mesos/sbin/mesos-agent --version: error while loading shared libraries: libsvn_delta-1.so.0',
      },
    ]);
  });

  it('refuses a flag in the spec that Mesos would refuse, if Mesos lists its flags', () => {
    expect(problems(path, whole, { cluster: 'x', frob: '1' })).toMatchObject([
      { code: 'MESOS_FLAG_UNKNOWN', message: 'h1: unknown flags of mesos-master 1.3.2: --frob' },
    ]);
    expect(problems(path, whole.replace(/^flags.*\n/gm, ''), { frob: '1' })).toEqual([]);
  });

  it('requires only what the roles of a host need', () => {
    const master = makeHost('h1', { roles: ['master'] });
    expect(mesosPrograms(specOf(path), master)).toEqual(['mesos-master']);
    expect(mesosPrograms(specOf(path), makeHost('h1', { roles: ['proxy'] }))).toEqual([]);
    expect(mesosPrograms(specOf({ kind: 'image', image: 'm' }), master)).toEqual([]);
  });
});
