import { describe, expect, it } from 'vitest';
import { asScript, mostKept } from '../../src/node/identity.js';

const ids = { uid: 60_801, gid: 60_802 };

describe('asScript', () => {
  it('quotes what a shell would read', () => {
    const account = { name: 'jovyan', home: '/srv/a b' };
    const script = asScript({ ...ids, account }, { hidden: ['/srv/$(id)'], kept: ["/srv/$(id)/it's"] });
    expect(script).toContain("HOME='/srv/a b' ");
    expect(script).toContain("none '/srv/$(id)'\n");
    expect(script).toContain(String.raw`exec 3<'/srv/$(id)/it'\''s'`);
  });

  it('needs no namespace without a view', () => {
    expect(asScript(ids)).not.toMatch(/unshare|mount/);
    expect(asScript(ids)).toMatch(
      /^exec setpriv --reuid=60801 --regid=60802 --clear-groups .*--no-new-privs -- "\$@"$/m,
    );
  });

  it('refuses more directories than a shell can hold open', () => {
    const kept = Array.from({ length: mostKept + 1 }, (_, index) => `/root/${index}`);
    expect(() => asScript(ids, { hidden: ['/root'], kept })).toThrow(/too many directories/);
  });
});
