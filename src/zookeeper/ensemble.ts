import type { ServerStatus } from './four-letter.js';

export interface MemberReport {
  /** Name of the host. */
  readonly host: string;
  /** Absent when the server did not answer. */
  readonly status?: ServerStatus;
}

export interface EnsembleJudgement {
  readonly healthy: boolean;
  /** Name of the leading host, when exactly one leads. */
  readonly leader?: string;
  /** A sentence for people. */
  readonly reason: string;
}

/**
 * An ensemble is whole when exactly one member leads and all others follow; an ensemble of one is whole when
 * its server stands alone.
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
    return { healthy: true, leader, reason: `${leader} stands alone, as an ensemble of one does.` };
  }
  if (leaders.length > 1) {
    return { healthy: false, reason: `${leaders.join(' and ')} all say that they lead.` };
  }
  if (silent.length > 0) {
    return { healthy: false, ...(leader && { leader }), reason: `${silent.join(', ')}: no answer.` };
  }
  if (reports.length > 1 && alone.length > 0) {
    return {
      healthy: false,
      ...(leader && { leader }),
      reason: `${alone.join(', ')}: running alone instead of in the ensemble.`,
    };
  }
  if (leader === undefined) {
    return { healthy: false, reason: 'No member leads.' };
  }
  const missing = reports.length - 1 - followers.length;
  if (missing > 0) {
    const behind = reports
      .map((report) => report.host)
      .filter((host) => host !== leader && !followers.includes(host));
    return { healthy: false, leader, reason: `${behind.join(', ')}: not following yet.` };
  }
  return { healthy: true, leader, reason: `${leader} leads, ${followers.join(', ')} follow.` };
}
