import type { ComponentChildren } from 'preact';
import { useContext, useEffect, useState } from 'preact/hooks';
import type { Step, Unknown } from '../../elections/member-log.js';
import { paxosText, raftText, zookeeperText } from '../../elections/words.js';
import type { ElectionsView } from '../elections.js';
import type { ClusterView } from '../view.js';
import { SettingContext, useStateWords } from './context.js';
import { electionWords, type ElectionWords } from './election-words.js';
import { durationText, timeText } from './format.js';
import type { Language } from './words.js';

/** A member that was away at first appears in the logs a little later. */
const lateMs = 4_000;
const longestSteps = 200;

/** The last elections of etcd, of the Mesos masters and of ZooKeeper, step by step. */
export function Elections({ view, now }: { readonly view: ClusterView; readonly now: number }) {
  const { language } = useContext(SettingContext);
  const words = electionWords[language];
  const { found, failure, read } = useElections(leadersOf(view));
  const [hasLines, setLines] = useState(false);
  return (
    <section class="panel elections" aria-labelledby="elections">
      <div class="bar">
        <h2 id="elections">{words.title}</h2>
        <p class="range" role="status">
          {failure !== undefined
            ? words.failed(failure)
            : found === undefined
              ? words.reading
              : words.readAt(timeText(found.readAt, language, now))}
        </p>
        <label>
          <input type="checkbox" checked={hasLines} onChange={() => setLines(!hasLines)} /> {words.lines}
        </label>
        <button type="button" onClick={read}>
          {words.again}
        </button>
      </div>
      <p class="soft">{words.intro}</p>
      <div class={hasLines ? 'groups lined' : 'groups'}>
        <Raft view={view} found={found} words={words} now={now} />
        <Masters view={view} found={found} words={words} now={now} />
        <Ensemble view={view} found={found} words={words} now={now} />
      </div>
    </section>
  );
}

/** Changes with each election that the status shows. */
function leadersOf({ status: { etcd, mesos, zookeeper } }: ClusterView): string {
  const first = zookeeper.members.find(({ mode }) => mode === 'leader')?.host;
  return [etcd.leader, etcd.term, mesos.leader, first].join(' ');
}

/** Reads when the leaders have changed, and when asked to. */
function useElections(leaders: string) {
  const [found, setFound] = useState<ElectionsView>();
  const [failure, setFailure] = useState<string>();
  const load = async () => {
    try {
      // eslint-disable-next-line no-restricted-globals -- the browser's, to the server of the page
      const response = await fetch('/api/elections');
      if (!response.ok) throw new Error(`${response.status}`);
      setFound((await response.json()) as ElectionsView);
      setFailure(undefined);
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    }
  };
  const read = () => void load();
  useEffect(() => {
    read();
    const timer = setTimeout(read, lateMs);
    return () => clearTimeout(timer);
  }, [leaders]);
  return { found, failure, read };
}

interface GroupProps {
  readonly view: ClusterView;
  readonly found: ElectionsView | undefined;
  readonly words: ElectionWords;
  readonly now: number;
}

function Raft({ view, found, words, now }: GroupProps) {
  const { language } = useContext(SettingContext);
  const rows = view.nodes.map(({ name }) => {
    const state = found?.members.find(({ node }) => node === name)?.state;
    if (state?.known !== true) return [name, words.notKnown, '', ''];
    const { role, term, committedIndex } = state.value;
    return [name, words.role[role], String(term), String(committedIndex)];
  });
  return (
    <Group name="raft" title={words.groups.raft} words={words} legend={words.legends.raft}>
      <Members columns={words.columns.raft} rows={rows} label={words.groups.raft} />
      <List words={words} unknown={found?.unknown.etcd} isEmpty={found?.etcd.length === 0}>
        {newestFirst(found?.etcd).map((election, index) => (
          <Entry
            key={`${election.term} ${election.startedAt}`}
            {...{ words, now, language, election, isOpen: index === 0 }}
            head={words.raftHead(election)}
            facts={election.rounds.flatMap(({ result, term, candidates }) =>
              result === 'won' ? [] : [words[result](term, candidates)],
            )}
            text={(step) => raftText(step, language)}
          />
        ))}
      </List>
    </Group>
  );
}

function Masters({ view, found, words, now }: GroupProps) {
  const { language } = useContext(SettingContext);
  const stateWord = useStateWords();
  const rows = view.status.mesos.masters.map(({ host, state, sequence }) => [
    ...[host, stateWord(state), sequence === null ? '' : String(sequence)],
  ]);
  return (
    <Group name="masters" title={words.groups.masters} words={words} legend={words.legends.masters}>
      <Members columns={words.columns.masters} rows={rows} label={words.groups.masters} />
      <List words={words} unknown={found?.unknown.mesos} isEmpty={found?.mesos.length === 0}>
        {newestFirst(found?.mesos).map((election, index) => (
          <Entry
            key={`${election.sequence ?? ''} ${election.startedAt}`}
            {...{ words, now, language, election, isOpen: index === 0 }}
            head={words.mastersHead(election)}
            facts={[
              election.proposal === undefined
                ? words.noPromises
                : words.promised(election.proposal, election.promised),
              ...(election.laterWrites > 0
                ? [words.laterWrites(election.laterWrites, election.lastPosition)]
                : []),
            ]}
            text={(step) => paxosText(step, language)}
          />
        ))}
      </List>
    </Group>
  );
}

function Ensemble({ view, found, words, now }: GroupProps) {
  const { language } = useContext(SettingContext);
  const stateWord = useStateWords();
  const rows = view.status.zookeeper.members.map(({ host, mode }) => [host, stateWord(mode)]);
  return (
    <Group name="ensemble" title={words.groups.ensemble} words={words} legend={words.legends.ensemble}>
      <Members columns={words.columns.ensemble} rows={rows} label={words.groups.ensemble} />
      <List words={words} unknown={found?.unknown.zookeeper} isEmpty={found?.zookeeper.length === 0}>
        {newestFirst(found?.zookeeper).map((election, index) => (
          <Entry
            key={String(election.startedAt)}
            {...{ words, now, language, election, isOpen: index === 0 }}
            head={words.ensembleHead(election)}
            facts={[]}
            text={(step) => zookeeperText(step, language)}
          />
        ))}
      </List>
    </Group>
  );
}

function newestFirst<T>(elections: readonly T[] | undefined): T[] {
  return [...(elections ?? [])].reverse();
}

interface GroupFrameProps {
  readonly name: string;
  readonly title: string;
  readonly words: ElectionWords;
  readonly legend: ElectionWords['legends']['raft'];
  readonly children: ComponentChildren;
}

function Group({ name, title, words, legend, children }: GroupFrameProps) {
  return (
    <section aria-labelledby={`elections-${name}`}>
      <h3 id={`elections-${name}`}>{title}</h3>
      {children}
      <details class="legend">
        <summary>{words.legend}</summary>
        <dl>
          {legend.map(([term, meaning]) => (
            <div key={term}>
              <dt>{term}</dt>
              <dd>{meaning}</dd>
            </div>
          ))}
        </dl>
      </details>
    </section>
  );
}

interface MembersProps {
  readonly label: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

function Members({ label, columns, rows }: MembersProps) {
  return (
    <table aria-label={label}>
      <thead>
        <tr>
          {columns.map((column) => (
            <th key={column} scope="col">
              {column}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map(([name, ...cells]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            {cells.map((cell, index) => (
              <td key={columns[index]}>{cell}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface ListProps {
  readonly words: ElectionWords;
  readonly unknown: readonly Unknown[] | undefined;
  readonly isEmpty: boolean;
  readonly children: ComponentChildren;
}

function List({ words, unknown = [], isEmpty, children }: ListProps) {
  return (
    <>
      {unknown.map(({ member, why }) => (
        <p key={member} class="gap">
          {words.unknown(member, why)}
        </p>
      ))}
      {isEmpty && <p class="soft">{words.none}</p>}
      {children}
    </>
  );
}

interface Shown<S extends Step> {
  readonly startedAt: number;
  readonly tookMs?: number;
  readonly steps: readonly S[];
  readonly unknown: readonly Unknown[];
}

interface EntryProps<S extends Step> {
  readonly election: Shown<S>;
  readonly head: string;
  readonly facts: readonly string[];
  readonly text: (step: S) => string;
  readonly isOpen: boolean;
  readonly words: ElectionWords;
  readonly language: Language;
  readonly now: number;
}

function Entry<S extends Step>(props: EntryProps<S>) {
  const { election, head, facts, text, isOpen, words, language, now } = props;
  const { startedAt, tookMs, steps, unknown } = election;
  const rest = steps.length - longestSteps;
  return (
    <details class="election" open={isOpen}>
      <summary>
        <strong>{head}</strong>
        <span>
          <time dateTime={new Date(startedAt).toISOString()}>{timeText(startedAt, language, now)}</time>
          {tookMs !== undefined && ` · ${words.took(durationText(tookMs))}`}
        </span>
      </summary>
      {facts.map((fact) => (
        <p key={fact}>{fact}</p>
      ))}
      {unknown.map(({ member, why }) => (
        <p key={member} class="gap">
          {words.unknown(member, why)}
        </p>
      ))}
      <ol class="steps">
        {steps.slice(0, longestSteps).map((step, index) => (
          <li key={index}>
            <span class="offset">{offsetText(step.at - startedAt)}</span>
            <span class="who">{step.member}</span>
            <span>{text(step)}</span>
            <code lang="en">{step.evidence}</code>
          </li>
        ))}
      </ol>
      {rest > 0 && <p class="soft">{words.more(rest)}</p>}
    </details>
  );
}

/** Seconds after the first step. */
function offsetText(ms: number): string {
  return `${ms < 0 ? '−' : '+'}${(Math.abs(ms) / 1_000).toFixed(3)}`;
}
