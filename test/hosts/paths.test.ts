import { describe, expect, it } from 'vitest';
import { isSystemDirectory } from '../../src/hosts/paths.js';

describe('isSystemDirectory', () => {
  it.each([
    '/',
    '//',
    '/.',
    '/usr',
    '/usr/',
    '/usr/lib',
    '/usr/local',
    '/etc/perijove',
    '/home',
    '/home/ada',
    '/root',
    '/var/lib',
    '/tmp',
    '/opt',
    '/srv',
    '/dev/shm/x',
    '/opt/perijove/..',
    'opt/perijove',
    '',
  ])('%j is', (dir) => {
    expect(isSystemDirectory(dir)).toBe(true);
  });

  it.each([
    '/opt/perijove',
    '/srv/perijove',
    '/home/ada/perijove',
    '/var/lib/perijove',
    '/tmp/x',
    '/usr/local/perijove',
    '/data',
  ])('%j is not', (dir) => {
    expect(isSystemDirectory(dir)).toBe(false);
  });
});
