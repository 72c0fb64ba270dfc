import { describe, expect, it } from 'vitest';
import { judgeEnsemble, type MemberReport } from '../../src/zookeeper/ensemble.js';
import type { ServerStatus } from '../../src/zookeeper/four-letter.js';

const reports = (...modes: readonly (ServerStatus['mode'] | undefined)[]): MemberReport[] =>
  modes.map((mode, index) => ({ host: `h${index + 1}`, ...(mode && { status: { mode } }) }));

describe('judgeEnsemble', () => {
  it.each([
    [
      'a leader and two followers',
      reports('follower', 'leader', 'follower'),
      true,
      'h2',
      'h2 leads, h1, h3 follow',
    ],
    [
      'a single standalone server',
      reports('standalone'),
      true,
      'h1',
      'h1 runs standalone, as the only server',
    ],
    [
      'a member without a response',
      reports('leader', 'follower', undefined),
      false,
      'h1',
      'no response from h3',
    ],
    [
      'two leaders',
      reports('leader', 'leader', 'follower'),
      false,
      undefined,
      'more than one leader: h1, h2',
    ],
    [
      'no leader',
      reports('not-serving', 'not-serving', 'follower'),
      false,
      undefined,
      'no member is leading',
    ],
    [
      'a member that is still electing',
      reports('leader', 'follower', 'not-serving'),
      false,
      'h1',
      'not following yet: h3',
    ],
    [
      'a standalone member',
      reports('leader', 'follower', 'standalone'),
      false,
      'h1',
      'running standalone instead of in the ensemble: h3',
    ],
    ['a single server that does not serve', reports('not-serving'), false, undefined, 'no member is leading'],
  ] as const)('%s', (_name, members, healthy, leader, reason) => {
    expect(judgeEnsemble(members)).toEqual({ healthy, ...(leader && { leader }), reason });
  });
});
