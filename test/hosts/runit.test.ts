import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import type { ServiceItem } from '../../src/hosts/items.js';
import { parseRunitStatus, renderRunit, runit, runsvdirScript } from '../../src/hosts/runit.js';

const host = { dir: "/opt/it's here" };
const service: ServiceItem = {
  name: 'agent',
  description: 'an agent\nof two lines',
  exec: ['/bin/sh', '-c', `echo "it's $HOME"`],
  env: { A: "it's" },
  user: 'nobody',
  openFiles: 1024,
  restartOn: ["/opt/it's here/etc/x"],
};

/** Parses a script with a shell, without running it. */
const parses = (script: string) =>
  execFileSync('sh', ['-n'], { input: script, stdio: ['pipe', 'pipe', 'pipe'] });

describe('renderRunit', () => {
  it('renders scripts that a POSIX shell accepts, whatever the names contain', () => {
    const files = renderRunit(host, service);
    expect(files.map(({ path, mode }) => [path, mode.toString(8)])).toEqual([
      ["/opt/it's here/service/agent/run", '700'],
      ["/opt/it's here/service/agent/finish", '755'],
      ["/opt/it's here/service/agent/log/run", '755'],
    ]);
    for (const { text } of files) parses(text);
    expect(files[0]?.text).toContain('chpst -u nobody');
    expect(files[0]?.text).toContain('ulimit -n 1024');
  });

  it('kills the rest of the process group, unless children are to be left', () => {
    const finish = (leaveChildren: boolean) => renderRunit(host, { ...service, leaveChildren })[1]?.text;
    expect(finish(false)).toContain('kill -s KILL -- "-$pid"');
    expect(finish(true)).not.toContain('kill -s KILL');
  });

  it('runs a command after each exit of the service, whatever its result', () => {
    const [, finish] = renderRunit(host, { ...service, afterEnd: ['docker', 'rm', "it's"] });
    expect(finish?.text).toContain(`docker rm 'it'\\''s' </dev/null >/dev/null 2>&1\n`);
    parses(finish?.text ?? '');
  });

  it('runs a one-shot once, and counts it as running from then on', () => {
    const [run] = renderRunit(host, { ...service, once: { before: [] } });
    expect(run?.text).toContain('&& exec sleep infinity');
    parses(run?.text ?? '');
  });

  it('renders only scripts that a shell accepts', () => {
    const driver = runit(host);
    for (const script of [
      driver.installScript(service),
      driver.startScript('agent'),
      driver.stopScript('agent'),
      driver.restartScript('agent'),
      driver.removeScript('agent'),
      driver.removeAllScript(),
      driver.statusScript(['agent', 'proxy']),
      driver.logsScript('agent', 10),
      driver.killScript('agent', 'TERM'),
      runsvdirScript(host.dir),
    ]) {
      parses(script);
    }
  });
});

describe('parseRunitStatus', () => {
  const now = new Date('2024-01-01T00:01:00Z');
  const observe = (line: string) => parseRunitStatus(`defined a\n${line}\nrecorded a\n`, ['a'], now);
  const state = (line: string) => {
    const observed = observe(line);
    return observed.known ? observed.value[0] : observed.why;
  };

  it.each([
    [
      'run: ./a: (pid 12) 45s; run: log: (pid 11) 50s',
      { state: 'running', pid: 12, since: '2024-01-01T00:00:15.000Z' },
    ],
    [
      'run: ./a: (pid 12) 45s, normally down, want down, got TERM; run: log: (pid 11) 50s',
      { state: 'running' },
    ],
    ['down: ./a: 5s; run: log: (pid 11) 50s', { state: 'stopped', since: '2024-01-01T00:00:55.000Z' }],
    ['down: ./a: 5s, normally up; run: log: (pid 11) 50s', { state: 'stopped' }],
    ['down: ./a: 0s, normally up, want up; run: log: (pid 11) 50s', { state: 'restarting' }],
    ['finish: ./a: (pid 12) 2s; run: log: (pid 11) 50s', { state: 'restarting' }],
    ['finish: ./a: (pid 12) 2s, want down; run: log: (pid 11) 50s', { state: 'stopped' }],
    ['fail: ./a: runsv not running', { state: 'stopped' }],
    ['warning: ./a: unable to open supervise/ok: file does not exist', { state: 'stopped' }],
    ['no-sv', { state: 'stopped' }],
  ])('%s', (line, expected) => {
    expect(state(line)).toMatchObject(expected);
  });

  it('joins the record of each service with its state', () => {
    const output =
      'defined a\ndown: ./a: 5s\nrecord a 1 definition\nrecord a 2 /x y\nrecorded a\nrecord b 3 definition\nrecorded b\n';
    expect(parseRunitStatus(output, ['a', 'b'], now)).toMatchObject({
      known: true,
      value: [
        { name: 'a', state: 'stopped', record: '1 definition\n2 /x y\n' },
        { name: 'b', state: 'absent', record: '3 definition\n' },
      ],
    });
  });

  it.each([
    ['sv failed', 'sv: not found'],
    ['sv printed nothing', ''],
    ['sv was truncated', 'run: ./a: (pid 12'],
    ['sv lacks permission', 'fail: ./a: unable to change to service directory: access denied'],
    ['sv reported another service', 'down: ./b: 5s'],
  ])('does not know the state when %s', (_, line) => {
    expect(observe(line).known).toBe(false);
  });

  it('does not know what a service was started with when its record is truncated', () => {
    expect(parseRunitStatus('defined a\ndown: ./a: 5s\nrecord a 1 definition\n', ['a'], now).known).toBe(
      false,
    );
    expect(parseRunitStatus('', ['a'], now).known).toBe(false);
  });
});
