import type { Language } from './words.js';

const locales = { en: 'en-GB', zh: 'zh-CN' } as const;

/** `10:31:05` today, with the date on another day. */
export function timeText(at: string | number, language: Language, now = Date.now()): string {
  const date = new Date(at);
  const isToday = date.toDateString() === new Date(now).toDateString();
  return date.toLocaleString(locales[language], {
    ...(!isToday && ({ month: 'short', day: 'numeric' } as const)),
    ...({ hour: '2-digit', minute: '2-digit', second: '2-digit' } as const),
  });
}

export function tickText(at: number, language: Language, withSeconds: boolean): string {
  return new Date(at).toLocaleTimeString(locales[language], {
    ...({ hour: '2-digit', minute: '2-digit' } as const),
    ...(withSeconds && ({ second: '2-digit' } as const)),
  });
}

/** `0.61 s`, `12.3 s`, `4 min`. */
export function durationText(ms: number): string {
  if (ms < 10_000) return `${(ms / 1_000).toFixed(2)} s`;
  if (ms < 120_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${Math.round(ms / 60_000)} min`;
}
