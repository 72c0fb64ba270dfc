import type { ServerStatus } from './four-letter.js';

export interface MemberReport {
  /** Name of the host. */
  readonly host: string;
  /** Absent if the server did not respond. */
  readonly status?: ServerStatus;
}

export interface EnsembleJudgement {
  readonly healthy: boolean;
  /** Name of the leading host, if exactly one leads. */
  readonly leader?: string;
  /** A readable explanation. */
  readonly reason: string;
}

/**
 * An ensemble is healthy if exactly one member leads and all others follow; an ensemble of one, if its server
 * is standalone.
 */
export function judgeEnsemble(reports: readonly MemberReport[]): EnsembleJudgement {
  const inMode = (mode: ServerStatus['mode']) =>
    reports.filter((report) => report.status?.mode === mode).map((report) => report.host);
  const silent = reports.filter((report) => report.status === undefined).map((report) => report.host);
  const leaders = inMode('leader');
  const followers = inMode('follower');
  const alone = inMode('standalone');
  const [leader] = reports.length === 1 ? alone : leaders;

  if (reports.length === 1 && leader !== undefined) {
    return { healthy: true, leader, reason: `${leader} runs standalone, as the only server` };
  }
  if (leaders.length > 1) {
    return { healthy: false, reason: `more than one leader: ${leaders.join(', ')}` };
  }
  if (silent.length > 0) {
    return { healthy: false, ...(leader && { leader }), reason: `no response from ${silent.join(', ')}` };
  }
  if (reports.length > 1 && alone.length > 0) {
    return {
      healthy: false,
      ...(leader && { leader }),
      reason: `running standalone instead of in the ensemble: ${alone.join(', ')}`,
    };
  }
  if (leader === undefined) {
    return { healthy: false, reason: 'no member is leading' };
  }
  const missing = reports.length - 1 - followers.length;
  if (missing > 0) {
    const behind = reports
      .map((report) => report.host)
      .filter((host) => host !== leader && !followers.includes(host));
    return { healthy: false, leader, reason: `not following yet: ${behind.join(', ')}` };
  }
  return { healthy: true, leader, reason: `${leader} leads, ${followers.join(', ')} follow` };
}
