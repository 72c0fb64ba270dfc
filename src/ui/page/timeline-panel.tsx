import { useContext, useEffect, useState } from 'preact/hooks';
import {
  hashOf,
  momentKinds,
  placeOf,
  spans,
  ticksOf,
  windowOf,
  within,
  type Moment,
  type Place,
  type SpanName,
  type Window,
} from '../timeline.js';
import type { ClusterView } from '../view.js';
import { SettingContext, useWords } from './context.js';
import { durationText, tickText, timeText } from './format.js';

const longestList = 40;

/** What happened, on one axis, and as a list. The address of the page names what is shown. */
export function Timeline({ view, now }: { readonly view: ClusterView; readonly now: number }) {
  const { words, language } = useContext(SettingContext);
  const place = usePlace();
  const window = windowOf(place, now);
  const shown = within(view.moments, window);
  return (
    <section class="panel timeline" aria-labelledby="timeline">
      <div class="bar">
        <h2 id="timeline">{words.timeline}</h2>
        <p class="range">
          {timeText(window.from, language, now)} – {timeText(window.to, language, now)}
        </p>
        <Controls place={place} window={window} now={now} />
      </div>
      <Axis moments={shown} place={place} window={window} now={now} />
      {shown.length === 0 ? (
        <p class="soft">{words.nothing}</p>
      ) : (
        <List moments={shown} place={place} now={now} temporal={view.links.temporal} />
      )}
    </section>
  );
}

/** What the address names; follows it. */
function usePlace(): Place {
  const [place, setPlace] = useState(() => placeOf(location.hash));
  useEffect(() => {
    const follow = () => setPlace(placeOf(location.hash));
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  return place;
}

interface PlaceProps {
  readonly place: Place;
  readonly window: Window;
  readonly now: number;
}

function Controls({ place, window, now }: PlaceProps) {
  const words = useWords();
  const step = spans[place.span] / 2;
  const beside = (ms: number): Place => {
    const middle = (window.from + window.to) / 2 + ms;
    return middle + step >= now ? { span: place.span } : { ...place, at: new Date(middle).toISOString() };
  };
  return (
    <nav class="controls" aria-label={words.timeline}>
      <span class="choice">
        {(Object.keys(spans) as SpanName[]).map((span) => (
          <a
            key={span}
            href={hashOf({ ...place, span })}
            {...(span === place.span && { 'aria-current': 'true' as const })}
          >
            {words.span[span]}
          </a>
        ))}
      </span>
      <span class="choice">
        <a href={hashOf(beside(-step))} title={words.earlier}>
          <Arrow path="M12 8H3m4-4L3 8l4 4" />
          <span class="unseen">{words.earlier}</span>
        </a>
        <a href={hashOf(beside(step))} title={words.later}>
          <Arrow path="M4 8h9m-4-4l4 4-4 4" />
          <span class="unseen">{words.later}</span>
        </a>
        <a
          href={hashOf({ span: place.span })}
          {...(place.at === undefined && { 'aria-current': 'true' as const })}
        >
          {words.now}
        </a>
      </span>
    </nav>
  );
}

function Arrow({ path }: { readonly path: string }) {
  return (
    <svg viewBox="0 0 16 16" width="16" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}

interface AxisProps extends PlaceProps {
  readonly moments: readonly Moment[];
}

/** A picture of the list below it. */
function Axis({ moments, place, window, now }: AxisProps) {
  const { words, language } = useContext(SettingContext);
  const width = window.to - window.from;
  const percent = (time: number) => `${Math.min(100, Math.max(0, ((time - window.from) / width) * 100))}%`;
  const offsetMs = -new Date(window.to).getTimezoneOffset() * 60_000;
  const ticks = ticksOf(window, place.span, offsetMs);
  return (
    <div class="axis" aria-hidden="true">
      <div class="ticks">
        {ticks.map((tick) => (
          <span key={tick} style={{ left: percent(tick) }}>
            {tickText(tick, language, place.span === 'minute')}
          </span>
        ))}
      </div>
      {momentKinds.map((kind) => (
        <div key={kind} class="lane">
          <span class="label">{words.kind[kind]}</span>
          <div class="track">
            {ticks.map((tick) => (
              <i key={tick} class="tick" style={{ left: percent(tick) }} />
            ))}
            {now < window.to && now > window.from && <i class="present" style={{ left: percent(now) }} />}
            {moments
              .filter((moment) => moment.kind === kind)
              .map((moment) => {
                const from = Date.parse(moment.at);
                const isRunning = moment.outcome === 'running';
                const to = isRunning ? Math.max(from, now) : from + (moment.tookMs ?? 0);
                return (
                  <a
                    key={moment.id}
                    tabIndex={-1}
                    class={`mark ${moment.outcome ?? 'plain'}${moment.at === place.at ? ' chosen' : ''}`}
                    href={hashOf({ at: moment.at, span: place.span })}
                    title={`${timeText(moment.at, language, now)} ${moment.what}`}
                    style={{ left: percent(from), width: `calc(${percent(to)} - ${percent(from)})` }}
                  />
                );
              })}
          </div>
        </div>
      ))}
    </div>
  );
}

interface ListProps {
  readonly moments: readonly Moment[];
  readonly place: Place;
  readonly now: number;
  readonly temporal: string | null;
}

function List({ moments, place, now, temporal }: ListProps) {
  const words = useWords();
  const [isWhole, setWhole] = useState(false);
  const rest = moments.length - longestList;
  const shown = isWhole ? moments : moments.slice(0, longestList);
  return (
    <>
      <ol class="moments">
        {shown.map((moment) => (
          <Entry key={moment.id} moment={moment} place={place} now={now} temporal={temporal} />
        ))}
      </ol>
      {rest > 0 && !isWhole && (
        <button type="button" onClick={() => setWhole(true)}>
          {words.more(rest)}
        </button>
      )}
    </>
  );
}

interface EntryProps extends Omit<ListProps, 'moments'> {
  readonly moment: Moment;
}

function Entry({ moment, place, now, temporal }: EntryProps) {
  const { words, language } = useContext(SettingContext);
  const { at, kind, what, tookMs, outcome, workflow } = moment;
  const isChosen = at === place.at;
  return (
    <li class={isChosen ? 'chosen' : ''}>
      <a
        class="at"
        href={hashOf({ at, span: place.span })}
        {...(isChosen && { 'aria-current': 'true' as const })}
      >
        <time dateTime={at}>{timeText(at, language, now)}</time>
      </a>
      <span class={`kind ${outcome ?? 'plain'}`}>
        <i class={`mark ${outcome ?? 'plain'}`} aria-hidden="true" />
        {words.kind[kind]}
        {outcome !== undefined && <span class="unseen"> {words.outcome[outcome]}</span>}
      </span>
      <span class="told">
        <span lang="en">{what}</span>
        {tookMs !== undefined && tookMs > 0 && <span class="took">{words.took(durationText(tookMs))}</span>}
        {workflow !== undefined && temporal !== null && (
          <a
            href={`${temporal}/workflows/${encodeURIComponent(workflow.id)}/${workflow.runId}`}
            target="_blank"
            rel="noreferrer"
          >
            {words.workflow}
          </a>
        )}
      </span>
    </li>
  );
}
