import { useEffect, useState } from 'preact/hooks';
import type { ClusterView, ViewEvents } from '../view.js';

export interface FeedState {
  readonly view?: ClusterView;
  /** ISO 8601, by the server's clock. */
  readonly observedAt?: string;
  /** The server's clock less this one, in milliseconds. */
  readonly skewMs: number;
  /** `closed`: it was refused, and people must log in again. */
  readonly connection: 'open' | 'lost' | 'closed';
  readonly failure?: ViewEvents['failed'];
}

/** How long a page that nobody sees goes on asking. */
const hiddenMs = 30_000;
const retryMs = 3_000;

/** What the server sends, for as long as somebody sees the page. The browser connects again by itself. */
export function useFeed(): FeedState {
  const [state, setState] = useState<FeedState>({ skewMs: 0, connection: 'open' });
  useEffect(() => {
    let source: EventSource | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const change = (next: Partial<FeedState>) => setState((before) => ({ ...before, ...next }));
    const open = () => {
      clearTimeout(timer);
      if (source !== undefined && source.readyState !== EventSource.CLOSED) return;
      source = follow(change, () => (timer = setTimeout(open, retryMs)));
    };
    const onVisibility = () => {
      if (document.visibilityState === 'visible') return open();
      timer = setTimeout(() => source?.close(), hiddenMs);
    };
    open();
    document.addEventListener('visibilitychange', onVisibility);
    return () => {
      document.removeEventListener('visibilitychange', onVisibility);
      clearTimeout(timer);
      source?.close();
    };
  }, []);
  return state;
}

function follow(change: (next: Partial<FeedState>) => void, retry: () => void): EventSource {
  const source = new EventSource('/api/events');
  const on = <Name extends keyof ViewEvents>(name: Name, take: (data: ViewEvents[Name]) => void) =>
    source.addEventListener(name, ({ data }: MessageEvent<string>) =>
      take(JSON.parse(data) as ViewEvents[Name]),
    );
  const seen = (observedAt: string): Partial<FeedState> => ({ observedAt, connection: 'open' });
  const fresh = (observedAt: string) => ({ skewMs: Date.parse(observedAt) - Date.now(), failure: undefined });
  let isFirst = true;
  on('view', ({ observedAt, view }) => {
    // The first one may be old: nobody looked before.
    change({ ...seen(observedAt), view, ...(isFirst ? {} : fresh(observedAt)) } as Partial<FeedState>);
    isFirst = false;
  });
  on('same', ({ observedAt }) => {
    change({ ...seen(observedAt), ...(isFirst ? {} : fresh(observedAt)) } as Partial<FeedState>);
    isFirst = false;
  });
  on('failed', (failure) => change({ failure, connection: 'open' }));
  source.onerror = () => {
    if (source.readyState !== EventSource.CLOSED) return change({ connection: 'lost' });
    change({ connection: 'closed' });
    retry();
  };
  return source;
}
