import { useContext } from 'preact/hooks';
import { keyOf, type Silence } from '../silences.js';
import { SettingContext, type Setting } from './context.js';
import type { FeedState } from './feed.js';
import { timeText } from './format.js';

/** Without a new observation for so long, what is shown is old. */
const lateMs = 12_000;

/** What does not answer, and what is wrong: alerts are for faults alone. */
export function Banners({ feed, now }: { readonly feed: FeedState; readonly now: number }) {
  const setting = useContext(SettingContext);
  const { words } = setting;
  const { view } = feed;
  const faults = view && ['degraded', 'failed'].includes(view.status.phase) ? view.reasons : [];
  const remarks = view && faults.length === 0 && view.status.phase !== 'absent' ? view.reasons : [];
  return (
    <div class="banners">
      <div class="stale" role="status">
        {silencesIn(feed, now, setting).map(([key, text]) => (
          <p key={key}>{text}</p>
        ))}
      </div>
      <div class="faults" role="alert">
        {faults.length > 0 && (
          <>
            <h2>{words.faults(faults.length)}</h2>
            <Reasons reasons={faults} />
          </>
        )}
      </div>
      {remarks.length > 0 && (
        <div class="remarks">
          <Reasons reasons={remarks} />
        </div>
      )}
    </div>
  );
}

function Reasons({ reasons }: { readonly reasons: readonly string[] }) {
  return (
    <ul lang="en">
      {reasons.map((reason) => (
        <li key={reason}>{reason}</li>
      ))}
    </ul>
  );
}

function silencesIn(
  feed: FeedState,
  now: number,
  { words, language }: Setting,
): [key: string, text: string][] {
  const { view, observedAt, connection, failure } = feed;
  const time = (at: string) => timeText(at, language, now);
  if (connection === 'closed') return [['closed', words.silent.closed]];
  if (connection === 'lost')
    return [['page', words.silent.page(time(observedAt ?? new Date(now).toISOString()))]];
  if (failure !== undefined)
    return [['failed', `${words.silent.failed(time(failure.since))} ${failure.why}`]];
  if (view === undefined || observedAt === undefined) return [];
  const late = now - Date.parse(observedAt) > lateMs ? words.silent.late(time(observedAt)) : undefined;
  return [
    ...(late === undefined ? [] : [['late', late] as [string, string]]),
    ...view.silences.map(({ of, since }): [string, string] => [
      keyOf(of),
      silenceText(of, time(since), words),
    ]),
  ];
}

function silenceText(of: Silence['of'], since: string, { silent }: Setting['words']): string {
  return of.kind === 'host' ? silent.host(of.name, since) : silent[of.kind](since);
}
