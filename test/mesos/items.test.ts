import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { agentItems, masterItems } from '../../src/mesos/items.js';
import { makeHost, makeSpec } from '../support/spec.js';

const host = makeHost('h1', { address: '127.0.1.1', hostname: 'one.example' });
const zk = 'zk://127.0.1.1:2181/mesos';
const execOf = (items: ReturnType<typeof masterItems>) => items.services[0]?.exec ?? [];

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

  it("lets the spec's flags win, and adds the new ones", () => {
    const spec = makeSpec({ hosts: [host], mesos: { masterFlags: { cluster: 'mine', roles: 'a,b' } } });
    expect(execOf(masterItems(spec, host))).toEqual(
      expect.arrayContaining(['--cluster=mine', '--roles=a,b']),
    );
    expect(execOf(masterItems(spec, host))).not.toContain('--cluster=test');
  });

  it('runs an installed Mesos from its prefix, or from PATH', () => {
    const at = (install: { kind: 'path'; path: string } | { kind: 'package'; package: string }) =>
      masterItems(makeSpec({ hosts: [host], mesos: { install } }), host);
    expect(execOf(at({ kind: 'path', path: '/srv/mesos' }))[0]).toBe('/srv/mesos/sbin/mesos-master');
    expect(at({ kind: 'path', path: '/srv/mesos' }).files).toEqual([]);
    expect(execOf(at({ kind: 'package', package: 'mesos' }))[0]).toBe('mesos-master');
    expect(at({ kind: 'package', package: 'mesos' }).packages).toEqual(['mesos']);
  });

  it('keeps the password of ZooKeeper out of every command line', () => {
    const spec = makeSpec({ hosts: [host], zookeeper: { digest: true } });
    const exec = execOf(masterItems(spec, host));
    expect(exec.slice(0, 2)).toEqual(['/bin/sh', '-c']);
    expect(exec[2]).toContain("'/opt/perijove/h1/etc/secrets/zookeeper-digest'");
    expect(exec).toContain('--zk=file:///opt/perijove/h1/run/mesos-zk-url');
  });

  it('hands Mesos a file with the password in it that nobody else can read', () => {
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

  it('has masters ask for the credential, from a file in which nobody else can read it', () => {
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
  it('leaves its tasks alone when it stops, and can hold all nodes by its own account', () => {
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
});
