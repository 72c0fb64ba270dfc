import { describe, expect, it } from 'vitest';
import { parseAttributes } from '../../src/stand-in/attributes.js';
import { parseDuration } from '../../src/stand-in/duration.js';
import { agentFlags, FlagError, masterFlags, parseFlags, usage } from '../../src/stand-in/flags.js';
import { parseZooKeeperUrl } from '../../src/stand-in/zk-url.js';

describe('parseFlags', () => {
  it("accepts the origin's command line", () => {
    const flags = parseFlags(
      agentFlags,
      [
        '--master=zk://172.16.6.103:2181,172.16.6.225:2181/mesos',
        '--work_dir=/var/lib/mesos',
        '--port',
        '5052',
        '--no-systemd_enable_support',
        '--strict',
      ],
      {},
    );
    expect(flags.required('master')).toBe('zk://172.16.6.103:2181,172.16.6.225:2181/mesos');
    expect(flags.integer('port')).toBe(5052);
    expect(flags.isTrue('systemd_enable_support')).toBe(false);
    expect(flags.isTrue('strict')).toBe(true);
    expect(flags.durationMs('executor_shutdown_grace_period')).toBe(5_000);
  });

  it('reads the environment, below the command line, and ignores unknown variables', () => {
    const environment = { MESOS_CLUSTER: 'env', MESOS_QUORUM: '3', MESOS_NATIVE_JAVA_LIBRARY: '/lib' };
    const flags = parseFlags(masterFlags, ['--cluster=line'], environment);
    expect([flags.optional('cluster'), flags.integer('quorum')]).toEqual(['line', 3]);
  });

  it.each([
    [['--frob=1'], "Failed to load unknown flag 'frob'"],
    [['--no-cluster'], "Failed to load non-boolean flag 'cluster' via '--no-cluster'"],
    [['--cluster'], "Failed to load non-boolean flag 'cluster': Missing value"],
    [['--cluster', '--quiet'], "Failed to load non-boolean flag 'cluster': Missing value"],
  ])('rejects %j', (args, text) => {
    expect(() => parseFlags(masterFlags, args, {})).toThrow(new FlagError(text));
  });

  it('reports what is missing', () => {
    expect(() => parseFlags(masterFlags, [], {}).required('work_dir')).toThrow(
      "Flag 'work_dir' is required, but it was not provided",
    );
  });

  it('lists every flag', () => {
    expect(usage('mesos-master', masterFlags)).toContain('--[no-]quiet');
    expect(usage('mesos-master', masterFlags)).toMatch(/--zk_session_timeout=VALUE\s+\(default: 10secs\)/);
  });
});

describe('parseDuration', () => {
  it.each([
    ['10secs', 10_000],
    ['250ms', 250],
    ['1.5mins', 90_000],
    ['2weeks', 1_209_600_000],
    ['0ns', 0],
  ])('%s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['10', '10 secs', 'secs', '-1secs', '1fortnights'])('rejects %s', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});

describe('parseZooKeeperUrl', () => {
  it('parses servers, path and password', () => {
    expect(parseZooKeeperUrl('zk://user:secret@a:1,b:2/mesos/')).toEqual({
      servers: 'a:1,b:2',
      path: '/mesos',
      digest: 'user:secret',
    });
  });

  it.each(['a:1/mesos', 'zk://a:1', 'zk://a:1/'])('rejects %s', (text) => {
    expect(() => parseZooKeeperUrl(text)).toThrow(FlagError);
  });
});

describe('parseAttributes', () => {
  it('distinguishes numbers from text', () => {
    expect(parseAttributes('rack:r1;unit:2;url:http://x')).toEqual([
      { name: 'rack', type: 'TEXT', text: { value: 'r1' } },
      { name: 'unit', type: 'SCALAR', scalar: { value: 2 } },
      { name: 'url', type: 'TEXT', text: { value: 'http://x' } },
    ]);
    expect(parseAttributes('nothing')).toBeUndefined();
  });
});
