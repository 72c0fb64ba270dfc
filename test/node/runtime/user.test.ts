import { describe, expect, it } from 'vitest';
import { interpreterOf, mayPass, withAccount } from '../../../src/node/runtime/user.js';

const user = { uid: 60_801, gid: 60_803 };

describe('mayPass', () => {
  it.each([
    ['a directory for all', { uid: 0, gid: 0, mode: 0o40755 }, true],
    ['one of root', { uid: 0, gid: 0, mode: 0o40750 }, false],
    ['one of the group', { uid: 0, gid: 60_803, mode: 0o40710 }, true],
    ['one that the group may not pass, and others may', { uid: 0, gid: 60_803, mode: 0o40701 }, false],
    ['one of the user that the user may not pass', { uid: 60_801, gid: 0, mode: 0o40011 }, false],
  ])('%s', (_name, directory, passes) => {
    expect(mayPass(directory, user)).toBe(passes);
  });
});

describe('withAccount', () => {
  const root = 'root:x:0:0:root:/root:/bin/bash\n';

  it('adds the user, in place of another one of that name', () => {
    expect(withAccount(`${root}jovyan:x:1000:100::/home/jovyan:/bin/sh\n`, user, '/srv/home')).toBe(
      `${root}jovyan:x:60801:60803::/srv/home:/bin/bash\n`,
    );
  });

  it('keeps the account that has the number', () => {
    const accounts = `${root}ops:x:60801:60801::/home/ops:/bin/sh\n`;
    expect(withAccount(accounts, user, '/srv/home')).toBe(accounts);
  });
});

describe('interpreterOf', () => {
  it.each([
    ['#!/opt/venv/bin/python3\nimport sys\n', '/opt/venv/bin/python3'],
    [`#!/bin/sh\n'''exec' "/opt/a venv/bin/python3" "$0" "$@"\n' '''\n`, '/opt/a venv/bin/python3'],
    [`#!/bin/sh\n'''exec' /opt/long/bin/python3 "$0" "$@"\n' '''\n`, '/opt/long/bin/python3'],
    ['\u007fELF', undefined],
  ])('%j', (text, interpreter) => {
    expect(interpreterOf(text)).toBe(interpreter);
  });
});
