/** Replayed elections as text. Pure. */
import type { Colors } from 'picocolors/types.js';
import type { ElectionKind } from '../elections/gather.js';
import type { Step, Unknown } from '../elections/member-log.js';
import type { MasterElection } from '../elections/paxos.js';
import type { RaftElection } from '../elections/raft.js';
import type { Replays } from '../elections/replays.js';
import { paxosText, raftText, zookeeperText } from '../elections/words.js';
import type { EnsembleElection } from '../elections/zookeeper.js';
import { hanging, table } from './table.js';

interface Shown {
  readonly head: string;
  readonly startedAt: number;
  /** Further facts, one a line. */
  readonly facts: readonly string[];
  readonly rows: readonly Row[];
  readonly unknown: readonly Unknown[];
}

interface Row {
  readonly at: number;
  readonly member: string;
  readonly what: string;
}

const titles: Readonly<Record<ElectionKind, string>> = {
  etcd: 'etcd: Raft',
  mesos: 'Mesos masters: ZooKeeper contest, Paxos log',
  zookeeper: 'ZooKeeper: Zab',
};

/** The elections of these kinds, oldest first, with the time of each step since the first one in seconds. */
export function electionsText(
  replays: Replays,
  kinds: readonly ElectionKind[],
  { colors, columns }: { readonly colors: Colors; readonly columns: number },
): string {
  const blocks = kinds.map((kind) => {
    const shown = shownOf(replays, kind);
    const lines = shown.flatMap((each) => ['', ...electionLines(each, colors, columns)]);
    const none = shown.length === 0 ? ['  no election is in the logs'] : [];
    const silent = replays.unknown[kind].flatMap((each) => unknownLines(each, colors, columns));
    return [colors.bold(titles[kind]), ...none, ...silent, ...lines].join('\n');
  });
  return `${blocks.join('\n\n')}\n`;
}

function shownOf(replays: Replays, kind: ElectionKind): Shown[] {
  if (kind === 'etcd') return replays.etcd.map(shownRaft);
  return kind === 'mesos' ? replays.mesos.map(shownMasters) : replays.zookeeper.map(shownEnsemble);
}

function electionLines(shown: Shown, colors: Colors, columns: number): string[] {
  const { head, startedAt, facts, rows, unknown } = shown;
  const at = new Date(startedAt).toISOString().replace('T', ' ').replace('Z', ' UTC');
  const widest = Math.max(...rows.map(({ member }) => member.length));
  const cells = condensed(rows).map(({ at: time, member, what }) => {
    const after = (time - startedAt) / 1000;
    const offset = `${after < 0 ? '' : '+'}${after.toFixed(3)}`;
    return hanging(`  ${colors.dim(offset.padStart(9))}  ${member.padEnd(widest)}  `, what, columns);
  });
  return [
    ...table([[colors.bold(head), colors.dim(at)]], columns),
    ...facts.flatMap((fact) => hanging('  ', fact, columns)),
    ...cells.flat(),
    ...unknown.flatMap((each) => unknownLines(each, colors, columns)),
  ];
}

function unknownLines({ member, why }: Unknown, colors: Colors, columns: number): string[] {
  return hanging(`  ${colors.yellow('not known')}  `, `${member}: ${why}`, columns);
}

/** How often one member may repeat a step before the repetitions are counted instead. */
const repetitions = 2;

/** Joins what a member does over and over while nobody answers: the first times, and the last one with the number. */
export function condensed(rows: readonly Row[]): Row[] {
  const counts = new Map<string, number>();
  const key = ({ member, what }: Row) => `${member} ${what}`;
  for (const row of rows) counts.set(key(row), (counts.get(key(row)) ?? 0) + 1);
  const seen = new Map<string, number>();
  return rows.flatMap((row) => {
    const count = counts.get(key(row)) ?? 0;
    const position = (seen.get(key(row)) ?? 0) + 1;
    seen.set(key(row), position);
    if (count <= repetitions + 1 || position <= repetitions) return [row];
    return position === count ? [{ ...row, what: `${row.what} (${count} times in all)` }] : [];
  });
}

function rowsOf<S extends Step>(steps: readonly S[], text: (step: S) => string): Row[] {
  return steps.map((step) => ({ at: step.at, member: step.member, what: text(step) }));
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(3)} s`;

export function shownRaft(election: RaftElection): Shown {
  const { outcome, term, leader, before, tookMs, preVoteMs, voteMs, rounds, steps, startedAt, unknown } =
    election;
  const who = leader ?? 'a member whose log is not known';
  const heads = {
    won: `term ${term}: ${who} leads${before === undefined ? '' : `, after ${before}`}`,
    kept: `term ${term}: ${who} still leads`,
    open: `term ${term}: no leader yet`,
  };
  const spans = [
    ...(tookMs === undefined ? [] : [`${seconds(tookMs)} from the first step to the leader`]),
    ...(preVoteMs === undefined ? [] : [`trial vote ${seconds(preVoteMs)}`]),
    ...(voteMs === undefined ? [] : [`vote ${seconds(voteMs)}`]),
  ];
  const lost = rounds.flatMap(({ term: round, result, candidates }) => {
    if (result === 'won') return [];
    const what = result === 'split' ? 'the vote was split between' : 'no majority for';
    return [`term ${round}: ${what} ${candidates.join(' and ')}`];
  });
  const facts = [...(spans.length > 0 ? [spans.join('; ')] : []), ...lost];
  return { head: heads[outcome], startedAt, facts, rows: rowsOf(steps, (step) => raftText(step)), unknown };
}

export function shownMasters(election: MasterElection): Shown {
  const { outcome, sequence, leader, before, tookMs, recoveredAt, proposal, promised, denied } = election;
  const after = before === undefined ? '' : `, after ${before}`;
  const head =
    outcome === 'won' ? `number ${sequence ?? '?'}: ${leader ?? '?'} leads${after}` : `no leader yet${after}`;
  const until = recoveredAt === undefined ? 'until a master leads' : 'until the leader has the registry';
  const facts = [
    ...(tookMs === undefined ? [] : [`${seconds(tookMs)} ${until}`]),
    ...(proposal === undefined
      ? ['no promise of a replicated log is in the logs']
      : [`proposal ${proposal}: promised by ${promised.join(', ')}`]),
    ...(denied.length > 0 ? [`an earlier proposal was denied by ${denied.join(', ')}`] : []),
    ...(election.laterWrites > 0
      ? [`since then ${election.laterWrites} more writes, up to position ${election.lastPosition ?? '?'}`]
      : []),
  ];
  const rows = rowsOf(election.steps, (step) => paxosText(step));
  return { head, startedAt: election.startedAt, facts, rows, unknown: election.unknown };
}

export function shownEnsemble(election: EnsembleElection): Shown {
  const { outcome, epoch, leader = '?', tookMs, votes, startedAt, steps, unknown } = election;
  const number = epoch === undefined ? '' : `epoch ${epoch}: `;
  const heads = {
    won: `${number}${leader} leads`,
    failed: `${leader} was elected, and found no majority of followers`,
    open: 'no leader yet',
  };
  const facts = [
    ...(tookMs === undefined ? [] : [`${seconds(tookMs)} from the first step until the leader serves`]),
    ...(votes.length === 0
      ? []
      : [`last votes: ${votes.map(({ voter, candidate }) => `${voter} for ${candidate}`).join(', ')}`]),
  ];
  return {
    head: heads[outcome],
    startedAt,
    facts,
    rows: rowsOf(steps, (step) => zookeeperText(step)),
    unknown,
  };
}
