import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { HostItems } from '../../../src/hosts/items.js';
import { definitionDigest } from '../../../src/hosts/record.js';
import { parseInstallation } from '../../../src/mesos/installation/installation.js';
import { agentItems, masterItems } from '../../../src/mesos/installation/items.js';
import type { Install } from '../../../src/cluster/spec.js';
import { makeHost, makeSpec } from '../../support/spec.js';

const host = makeHost('h1', { address: '127.0.1.1', hostname: 'one.example' });
const zk = 'zk://127.0.1.1:2181/mesos';
const execOf = (items: HostItems): readonly string[] => items.services[0]?.exec ?? [];

describe('masterItems', () => {
  it("runs the stand-in with the origin's flags", () => {
    const items = masterItems(makeSpec({ hosts: [host] }), host);
    expect(execOf(items)).toEqual([
      '/opt/perijove/h1/bin/node',
      '--max-old-space-size=64',
      '--max-semi-space-size=1',
      '/opt/perijove/h1/bin/mesos-master.mjs',
      `--zk=${zk}`,
      '--quorum=2',
      '--ip=127.0.1.1',
      '--port=5050',
      '--hostname=one.example',
      '--cluster=test',
      '--work_dir=/opt/perijove/h1/data/mesos-master',
      '--log_dir=/opt/perijove/h1/log/glog/mesos-master',
      '--zk_session_timeout=4000ms',
      '--agent_ping_timeout=15000ms',
      '--max_agent_ping_timeouts=5',
    ]);
    expect(items.files.map((file) => [file.path, file.source])).toEqual([
      ['/opt/perijove/h1/bin/node', { kind: 'node' }],
      ['/opt/perijove/h1/bin/mesos-master.mjs', { kind: 'program', name: 'mesos-master.mjs' }],
    ]);
  });

  it("prefers the spec's flags, and adds the new ones", () => {
    const spec = makeSpec({ hosts: [host], mesos: { masterFlags: { cluster: 'mine', roles: 'a,b' } } });
    expect(execOf(masterItems(spec, host))).toEqual(
      expect.arrayContaining(['--cluster=mine', '--roles=a,b']),
    );
    expect(execOf(masterItems(spec, host))).not.toContain('--cluster=test');
  });

  it('runs an installed Mesos from where it was found, and restarts it when it was replaced', () => {
    const spec = makeSpec({ hosts: [host], mesos: { install: { kind: 'path', path: '/srv/mesos' } } });
    const at = (program: string, stamp = 'one') => {
      const found = parseInstallation(`program mesos-master ${program}\nstamp ${stamp}\n`);
      return masterItems(spec, host, found);
    };
    const built = at('/srv/mesos/bin/mesos-master.sh');
    expect(execOf(built)[0]).toBe('/srv/mesos/bin/mesos-master.sh');
    expect(built.files).toEqual([]);
    const digestOf = (items: HostItems) => items.services.map(definitionDigest);
    expect(digestOf(at('/srv/mesos/bin/mesos-master.sh'))).toEqual(digestOf(built));
    expect(digestOf(at('/srv/mesos/bin/mesos-master.sh', 'two'))).not.toEqual(digestOf(built));
  });

  it('plans with the default path before there is an installation', () => {
    const at = (install: Install) => masterItems(makeSpec({ hosts: [host], mesos: { install } }), host);
    expect(execOf(at({ kind: 'path', path: '/srv/mesos' }))[0]).toBe('/srv/mesos/sbin/mesos-master');
    expect(execOf(at({ kind: 'package', package: 'mesos' }))[0]).toBe('mesos-master');
    expect(at({ kind: 'package', package: 'mesos' })).toMatchObject({ packages: ['mesos'] });
    const apt = { source: 'https://a.example', suite: 's', component: 'c', keyUrl: 'k', fingerprint: 'F' };
    expect(at({ kind: 'package', package: 'mesos', version: '1', apt })).toMatchObject({
      packages: ['mesos', 'ca-certificates'],
      pinned: [{ name: 'mesos', version: '1', apt, cluster: 'test' }],
    });
  });

  it('unpacks each archive to its own path: what runs keeps its files until it is restarted', () => {
    const at = (sha256: string) => {
      const install = { kind: 'tarball', url: 'file:///m.tar.gz', sha256 } as const;
      return masterItems(makeSpec({ hosts: [host], mesos: { install } }), host);
    };
    const [one, two] = [at('1'.repeat(64)), at('2'.repeat(64))];
    expect(one.archives?.[0]?.path).toBe('/opt/perijove/h1/opt/mesos-111111111111');
    expect(execOf(one)[0]).toBe('/opt/perijove/h1/opt/mesos-111111111111/sbin/mesos-master');
    expect(execOf(two)[0]).toBe('/opt/perijove/h1/opt/mesos-222222222222/sbin/mesos-master');
  });

  it('passes the paths of the web UI and the libraries only if they were found', () => {
    const spec = makeSpec({ hosts: [host], mesos: { install: { kind: 'path', path: '/srv/mesos' } } });
    const bare = masterItems(
      spec,
      host,
      parseInstallation('program mesos-master /srv/mesos/sbin/mesos-master\n'),
    );
    expect(execOf(bare).some((flag) => flag.startsWith('--webui_dir'))).toBe(false);
    expect(bare.services[0]?.env).toEqual({});
    const whole = masterItems(
      spec,
      host,
      parseInstallation('webui-dir /srv/mesos/share/mesos/webui\nlibrary-dir /srv/mesos/lib\n'),
    );
    expect(execOf(whole)).toContain('--webui_dir=/srv/mesos/share/mesos/webui');
    expect(whole.services[0]?.env).toEqual({ LD_LIBRARY_PATH: '/srv/mesos/lib' });
  });

  it('keeps the password of ZooKeeper out of every command line', () => {
    const spec = makeSpec({ hosts: [host], zookeeper: { digest: true } });
    const exec = execOf(masterItems(spec, host));
    expect(exec.slice(0, 2)).toEqual(['/bin/sh', '-c']);
    expect(exec[2]).toContain("'/opt/perijove/h1/etc/secrets/zookeeper-digest'");
    expect(exec).toContain('--zk=file:///opt/perijove/h1/run/mesos-zk-url');
  });

  it('gives Mesos a file with the password that no other user can read', () => {
    const dir = mkdtempSync(path.join(tmpdir(), 'perijove-items-'));
    try {
      mkdirSync(path.join(dir, 'etc/secrets'), { recursive: true });
      mkdirSync(path.join(dir, 'run'));
      writeFileSync(path.join(dir, 'etc/secrets/zookeeper-digest'), 'user:p%s$(x)');
      const there = makeHost('h1', { address: '127.0.1.1', dir });
      const [shell, ...args] = execOf(
        masterItems(makeSpec({ hosts: [there], zookeeper: { digest: true } }), there),
      );
      const file = path.join(dir, 'run/mesos-zk-url');
      const output = execFileSync(shell ?? '', [...args.slice(0, 3), 'stat', '-c', '%a', file], {
        encoding: 'utf8',
      });
      expect(output).toBe('600\n');
      expect(readFileSync(file, 'utf8')).toBe('zk://user:p%s$(x)@127.0.1.1:2181/mesos');
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it('lets the master and the agent of a host write it at the same time', () => {
    const spec = makeSpec({ hosts: [host], zookeeper: { digest: true } });
    const written = [masterItems(spec, host), agentItems(spec, host)].map(
      (items) => / > '(\S+)' && mv '\1' '\S+\/run\/mesos-zk-url'/.exec(execOf(items)[2] ?? '')?.[1],
    );
    expect(written).not.toContain(undefined);
    expect(new Set(written).size).toBe(2);
  });

  it('makes masters require the credential, from a file that no other user can read', () => {
    const dir = mkdtempSync(path.join(tmpdir(), 'perijove-items-'));
    try {
      mkdirSync(path.join(dir, 'etc/secrets'), { recursive: true });
      mkdirSync(path.join(dir, 'run'));
      const credential = { principal: 'perijove', secret: 'p%s$(x)"\\' };
      writeFileSync(path.join(dir, 'etc/secrets/mesos-credential'), JSON.stringify(credential));
      const there = makeHost('h1', { address: '127.0.1.1', dir });
      const items = masterItems(makeSpec({ hosts: [there], mesos: { principal: 'perijove' } }), there);
      const [shell, ...args] = execOf(items);
      const file = path.join(dir, 'run/mesos-credentials');
      expect(args).toEqual(
        expect.arrayContaining([
          '--authenticate_http_readonly=true',
          '--authenticate_http_readwrite=true',
          '--authenticate_frameworks=true',
          '--authenticate_http_frameworks=true',
          '--http_framework_authenticators=basic',
          `--credentials=${file}`,
        ]),
      );
      expect(args.join('\n')).not.toContain('p%s');
      const output = execFileSync(shell ?? '', [...args.slice(0, 3), 'stat', '-c', '%a', file], {
        encoding: 'utf8',
      });
      expect(output).toBe('600\n');
      expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ credentials: [credential] });
      expect(items.services[0]?.restartOn).toContain(path.join(dir, 'etc/secrets/mesos-credential'));
      expect(execOf(agentItems(makeSpec({ hosts: [there], mesos: { principal: 'p' } }), there))).toEqual(
        expect.arrayContaining([
          '--authenticate_http_readonly=true',
          '--authenticate_http_readwrite=true',
          `--http_credentials=${file}`,
        ]),
      );
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it('gives a host of another role nothing', () => {
    const other = makeHost('h1', { roles: ['proxy'] });
    expect(masterItems(makeSpec({ hosts: [other] }), other).services).toEqual([]);
    expect(agentItems(makeSpec({ hosts: [other] }), other).services).toEqual([]);
  });
});

describe('agentItems', () => {
  it('leaves its tasks alone when it stops, and offers room for all nodes', () => {
    const items = agentItems(makeSpec({ hosts: [host] }), host);
    expect(items.services[0]?.leaveChildren).toBe(true);
    expect(execOf(items)).toEqual(
      expect.arrayContaining([
        `--master=${zk}`,
        '--port=5051',
        '--work_dir=/opt/perijove/h1/data/mesos-agent',
        '--containerizers=mesos',
        '--launcher_dir=/opt/perijove/h1/bin',
        '--resources=cpus:5;mem:2560',
        '--attributes=perijove_host:h1',
      ]),
    );
    expect(items.files.map((file) => file.path)).toContain('/opt/perijove/h1/bin/mesos-executor.mjs');
  });

  it("uses the origin's flags for Docker, and never invents resources of a real agent", () => {
    const spec = makeSpec({
      hosts: [host],
      nodes: { containerizer: 'docker' },
      mesos: { install: { kind: 'path', path: '/srv/mesos' }, agentFlags: { attributes: 'rack:r1' } },
    });
    const exec = execOf(agentItems(spec, host));
    expect(exec).toEqual(
      expect.arrayContaining([
        '--containerizers=docker,mesos',
        '--image_providers=docker',
        '--isolation=docker/runtime',
        '--attributes=perijove_host:h1;rack:r1',
      ]),
    );
    expect(exec.some((flag) => flag.startsWith('--resources'))).toBe(false);
  });

  it("keeps agents of one machine apart: no directory is the default one, none is another host's", () => {
    const spec = makeSpec({ mesos: { install: { kind: 'path', path: '/srv/mesos' } } });
    const directories = spec.hosts.map((each) =>
      execOf(agentItems(spec, each)).flatMap((flag) => /^--(\w+_dir)=(.*)$/.exec(flag)?.slice(1, 3) ?? []),
    );
    for (const [index, mine] of directories.entries()) {
      expect(mine.filter((_, at) => at % 2 === 0)).toEqual([
        'work_dir',
        'log_dir',
        'runtime_dir',
        'fetcher_cache_dir',
      ]);
      const places = mine.filter((_, at) => at % 2 === 1);
      expect(places.every((place) => place.startsWith(`/opt/perijove/h${index + 1}/`))).toBe(true);
    }
  });

  it('passes LD_LIBRARY_PATH on to the executors, which inherit nothing of the agent', () => {
    const spec = makeSpec({ hosts: [host], mesos: { install: { kind: 'path', path: '/srv/mesos' } } });
    const found = parseInstallation('launcher-dir /srv/mesos/libexec/mesos\nlibrary-dir /srv/mesos/lib\n');
    expect(execOf(agentItems(spec, host, found))).toEqual(
      expect.arrayContaining([
        '--launcher_dir=/srv/mesos/libexec/mesos',
        '--executor_environment_variables={"LD_LIBRARY_PATH":"/srv/mesos/lib"}',
      ]),
    );
  });

  it('leaves out what an older Mesos does not know and does not need, but nothing else', () => {
    const spec = makeSpec({
      hosts: [host],
      mesos: { install: { kind: 'path', path: '/srv/mesos' }, agentFlags: { launcher: 'posix' } },
    });
    const found = parseInstallation(
      'program mesos-agent /srv/mesos/sbin/mesos-agent\nflags mesos-agent master ip port work_dir\n',
    );
    const names = execOf(agentItems(spec, host, found)).map((flag) => flag.split('=')[0]);
    expect(names).toEqual(expect.arrayContaining(['--isolation', '--hostname', '--launcher']));
    for (const flag of ['runtime_dir', 'fetcher_cache_dir', 'systemd_enable_support']) {
      expect(names).not.toContain(`--${flag}`);
    }
  });
});

describe('from an image', () => {
  const spec = makeSpec({
    hosts: [host],
    nodes: { containerizer: 'docker' },
    mesos: { install: { kind: 'image', image: 'mesos:1' } },
  });

  it('runs in the foreground of the supervisor, with the network, processes and files of the host', () => {
    const items = masterItems(spec, host);
    const [service] = items.services;
    expect(service?.exec.slice(0, 4)).toEqual([
      '/bin/sh',
      '-c',
      'docker rm --force perijove-test-h1-mesos-master >/dev/null 2>&1; exec "$@"',
      'sh',
    ]);
    const at = service?.exec.indexOf('-c', 4) ?? 0;
    expect(service?.exec.slice(4, at).join(' ')).toBe(
      'docker run --rm --name perijove-test-h1-mesos-master --network host --pid host ' +
        '--volume /opt/perijove/h1:/opt/perijove/h1 --entrypoint /bin/sh mesos:1',
    );
    expect(service?.exec.slice(at + 1, at + 6)).toEqual([
      'ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"; exec "$@"',
      'sh',
      'mesos-master',
      `--zk=${zk}`,
      '--quorum=2',
    ]);
    expect(service?.exec).not.toContain('--detach');
    expect(service?.afterEnd).toEqual(['docker', 'rm', '--force', 'perijove-test-h1-mesos-master']);
  });

  it('lets an agent start other containers, whose executors outlive it', () => {
    const exec = execOf(agentItems(spec, host));
    expect(exec).toEqual(
      expect.arrayContaining([
        '--privileged',
        '/var/run/docker.sock:/var/run/docker.sock',
        '--docker_mesos_image=mesos:1',
      ]),
    );
  });

  it('reads the password of ZooKeeper inside', () => {
    const withDigest = { ...spec, zookeeper: { ...spec.zookeeper, digest: true } };
    const exec = execOf(masterItems(withDigest, host));
    const at = exec.indexOf('--entrypoint');
    expect(exec.slice(at, at + 4)).toEqual(['--entrypoint', '/bin/sh', 'mesos:1', '-c']);
    expect(exec).toContain('--zk=file:///opt/perijove/h1/run/mesos-zk-url');
  });
});
