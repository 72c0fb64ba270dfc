import { useEffect, useMemo, useState } from 'preact/hooks';
import { topologyOf } from '../topology.js';
import { Banners } from './banners.js';
import { SettingContext, firstLanguage, remember, type Setting } from './context.js';
import { Doors } from './doors.js';
import { Elections } from './elections-panel.js';
import { Facts } from './facts.js';
import { useFeed } from './feed.js';
import { Header } from './header.js';
import { Hosts } from './hosts.js';
import { Timeline } from './timeline-panel.js';
import { words, type Language } from './words.js';

/** The page. */
export function App() {
  const feed = useFeed();
  const [language, setLanguage] = useState<Language>(firstLanguage);
  const setting: Setting = { language, words: words[language] };
  const { view } = feed;
  const now = useNow(1_000) + feed.skewMs;
  const topology = useMemo(() => view && topologyOf(view), [view]);
  const cluster = view?.status.cluster;
  useEffect(() => {
    document.documentElement.lang = language;
    if (cluster !== undefined) document.title = words[language].title(cluster);
  }, [language, cluster]);
  const choose = (chosen: Language) => {
    remember(chosen);
    setLanguage(chosen);
  };
  return (
    <SettingContext.Provider value={setting}>
      <Header feed={feed} now={now} onLanguage={choose} />
      <main>
        <Banners feed={feed} now={now} />
        {view === undefined || topology === undefined ? (
          <p class="connecting">{setting.words.connecting}</p>
        ) : (
          <>
            <Facts view={view} />
            <div class="middle">
              <Doors topology={topology} />
              <Hosts topology={topology} />
            </div>
            <Timeline view={view} now={now} />
            <Elections view={view} now={now} />
          </>
        )}
      </main>
      <footer>{view && setting.words.foot(view.version)}</footer>
    </SettingContext.Provider>
  );
}

/** This machine's clock, again and again. */
function useNow(everyMs: number): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
