import { escapeHtml } from '../../net/html.js';
import { statusPath, waitingAnswer, type Waiting } from './waiting.js';

export interface WaitingPage {
  readonly html: string;
  readonly headers: Readonly<Record<string, string>>;
}

const style = `
:root { color-scheme: light dark; --ink: #1d2430; --soft: #59636e; --ground: #fbfaf8; --planet: #e46e2e; --line: #d5d0c8 }
@media (prefers-color-scheme: dark) { :root { --ink: #ece8e1; --soft: #a6aab2; --ground: #15181d; --line: #3a4049 } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 2rem;
  background: var(--ground); color: var(--ink); font: 1.0625rem/1.6 system-ui, sans-serif }
main { max-width: 34rem; text-align: center }
svg { width: 9rem; height: 9rem }
.moon { transform-origin: 60px 60px; animation: orbit 6s linear infinite }
@keyframes orbit { to { transform: rotate(360deg) } }
@media (prefers-reduced-motion: reduce) { .moon { animation: none } }
h1 { font-size: 1.6rem; font-weight: 600; margin: 1rem 0 .5rem }
p { margin: .5rem 0; text-wrap: balance }
.soft { color: var(--soft); font-size: .9375rem }
`;

// Polls the proxy until Jupyter responds, then reloads. A page from a form submission is opened by its
// address, not resubmitted.
const script = `
const reload = document.documentElement.dataset.method === 'GET';
const message = document.getElementById('message');
const elapsed = document.getElementById('elapsed');
let since = Date.now() - Number(elapsed.dataset.waitedMs);
const say = (text) => { if (message.textContent !== text) message.textContent = text };
const tick = () => {
  const seconds = Math.max(0, Math.round((Date.now() - since) / 1000));
  elapsed.textContent = seconds < 60 ? seconds + ' s' : Math.floor(seconds / 60) + ' min ' + (seconds % 60) + ' s';
};
const ask = async () => {
  try {
    const answer = await fetch('${statusPath}', { cache: 'no-store', signal: AbortSignal.timeout(5000) });
    const status = await answer.json();
    if (status.ready) {
      say('Jupyter answers. Opening it…');
      document.title = 'Jupyter';
      if (reload) location.reload();
      else location.replace(location.pathname + location.search);
      return;
    }
    say(status.message);
    since = Date.now() - status.waitedMs;
  } catch {
    say('This host does not respond. Retrying every second.');
  }
  setTimeout(ask, 1000);
};
tick();
setInterval(tick, 1000);
setTimeout(ask, 500);
`;

/** The page shown while Jupyter is unreachable. It opens Jupyter automatically as soon as it responds. */
export function waitingPage(
  waiting: Waiting,
  place: { readonly cluster: string; readonly host: string },
  method: string,
  nonce: string,
): WaitingPage {
  const { message, since, waitedMs } = waitingAnswer(waiting, new Date());
  const html = `<!doctype html>
<html lang="en" data-method="${method === 'HEAD' ? 'GET' : escapeHtml(method)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Waiting for Jupyter</title>
<noscript><meta http-equiv="refresh" content="2"></noscript>
<style nonce="${nonce}">${style}</style>
</head>
<body>
<main>
<svg viewBox="0 0 120 120" aria-hidden="true">
<ellipse cx="60" cy="60" rx="54" ry="54" fill="none" stroke="var(--line)" stroke-width="1.5" stroke-dasharray="3 5"/>
<circle cx="60" cy="60" r="24" fill="var(--planet)"/>
<path d="M39 52 q21 6 42 0 M37 62 q23 7 46 0 M42 74 q18 5 36 0" fill="none" stroke="#fff" stroke-opacity=".45" stroke-width="3"/>
<g class="moon"><circle cx="60" cy="6" r="5" fill="var(--ink)"/></g>
</svg>
<h1>Waiting for Jupyter</h1>
<p id="message" role="status">${escapeHtml(message)}</p>
<p>This page opens Jupyter by itself as soon as it answers.</p>
<p class="soft">Waiting for <span id="elapsed" title="since ${since}" data-waited-ms="${waitedMs}">a moment</span>. Cluster ${escapeHtml(place.cluster)}, through host ${escapeHtml(place.host)}.</p>
</main>
<script nonce="${nonce}">${script}</script>
</body>
</html>
`;
  return {
    html,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; connect-src 'self'; frame-ancestors 'self'; base-uri 'none'`,
    },
  };
}
