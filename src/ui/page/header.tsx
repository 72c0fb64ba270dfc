import { useContext } from 'preact/hooks';
import type { Phase } from '../../status/cluster-status.js';
import type { Health } from '../topology.js';
import { SettingContext } from './context.js';
import type { FeedState } from './feed.js';
import { Glyph, Planet } from './glyphs.js';
import { languages, type Language } from './words.js';

const healths: Readonly<Record<Phase, Health>> = {
  absent: 'unknown',
  deploying: 'waits',
  ready: 'good',
  degraded: 'bad',
  failed: 'bad',
};

interface HeaderProps {
  readonly feed: FeedState;
  readonly now: number;
  readonly onLanguage: (language: Language) => void;
}

export function Header({ feed: { view, observedAt }, now, onLanguage }: HeaderProps) {
  const { words, language } = useContext(SettingContext);
  const seconds = observedAt === undefined ? 0 : Math.max(0, (now - Date.parse(observedAt)) / 1_000);
  return (
    <header>
      <div class="name">
        <Planet />
        <h1>{view?.status.cluster ?? 'Perijove'}</h1>
        {view && (
          <p class={`phase ${view.status.phase}`} role="status">
            <Glyph health={healths[view.status.phase]} />
            {words.phase[view.status.phase]}
          </p>
        )}
      </div>
      {observedAt !== undefined && <p class="age">{words.observed(words.ago(seconds))}</p>}
      <Pages temporal={view?.links.temporal ?? null} mesos={leaderUrl(view)} jupyter={jupyterUrl(view)} />
      <div class="languages" role="group" aria-label={words.language}>
        {(Object.keys(languages) as Language[]).map((each) => (
          <button
            key={each}
            type="button"
            lang={each}
            aria-pressed={each === language}
            onClick={() => onLanguage(each)}
          >
            {languages[each]}
          </button>
        ))}
      </div>
    </header>
  );
}

interface PagesProps {
  readonly temporal: string | null;
  readonly mesos: string | undefined;
  readonly jupyter: string | undefined;
}

function Pages({ temporal, mesos, jupyter }: PagesProps) {
  const { words } = useContext(SettingContext);
  const links = Object.entries({ Jupyter: jupyter, Temporal: temporal ?? undefined, Mesos: mesos });
  return (
    <nav aria-label={words.pages}>
      {links.map(
        ([name, url]) =>
          url !== undefined && (
            <a key={name} href={url} target="_blank" rel="noreferrer">
              {name}
            </a>
          ),
      )}
    </nav>
  );
}

function leaderUrl(view: FeedState['view']): string | undefined {
  return view?.hosts.find(({ name }) => name === view.status.mesos.leader)?.mesosUrl;
}

/** Through a host that answers. */
function jupyterUrl(view: FeedState['view']): string | undefined {
  const proxies = view?.status.proxies ?? [];
  return (proxies.find(({ healthy }) => healthy) ?? proxies[0])?.url;
}
