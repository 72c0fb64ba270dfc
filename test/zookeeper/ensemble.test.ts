import { describe, expect, it } from 'vitest';
import { judgeEnsemble, type MemberReport } from '../../src/zookeeper/ensemble.js';
import type { ServerStatus } from '../../src/zookeeper/four-letter.js';

const reports = (...modes: readonly (ServerStatus['mode'] | undefined)[]): MemberReport[] =>
  modes.map((mode, index) => ({ host: `h${index + 1}`, ...(mode && { status: { mode } }) }));

describe('judgeEnsemble', () => {
  it.each([
    ['three, one leads', reports('follower', 'leader', 'follower'), true, 'h2', 'h2 leads, h1, h3 follow.'],
    ['one alone', reports('standalone'), true, 'h1', 'h1 stands alone, as an ensemble of one does.'],
    ['one silent', reports('leader', 'follower', undefined), false, 'h1', 'h3: no answer.'],
    [
      'two leaders',
      reports('leader', 'leader', 'follower'),
      false,
      undefined,
      'h1 and h2 all say that they lead.',
    ],
    ['no leader', reports('not-serving', 'not-serving', 'follower'), false, undefined, 'No member leads.'],
    [
      'one still electing',
      reports('leader', 'follower', 'not-serving'),
      false,
      'h1',
      'h3: not following yet.',
    ],
    [
      'one outside',
      reports('leader', 'follower', 'standalone'),
      false,
      'h1',
      'h3: running alone instead of in the ensemble.',
    ],
    ['one that must be alone leads', reports('not-serving'), false, undefined, 'No member leads.'],
  ] as const)('%s', (_name, members, healthy, leader, reason) => {
    expect(judgeEnsemble(members)).toEqual({ healthy, ...(leader && { leader }), reason });
  });
});
