import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import { words, type Language, type Words } from './words.js';

export interface Setting {
  readonly language: Language;
  readonly words: Words;
}

export const SettingContext = createContext<Setting>({ language: 'en', words: words.en });

export function useWords(): Words {
  return useContext(SettingContext).words;
}

const remembered = 'perijove.language';

/** As chosen here before, otherwise the browser's. */
export function firstLanguage(): Language {
  const chosen = localStorage.getItem(remembered);
  if (chosen === 'en' || chosen === 'zh') return chosen;
  return navigator.languages.find((tag) => /^(en|zh)\b/.test(tag))?.startsWith('zh') ? 'zh' : 'en';
}

export function remember(language: Language): void {
  localStorage.setItem(remembered, language);
}

/** How people read a status's word. */
export function useStateWords(): (state: string) => string {
  const { state } = useWords();
  return (key) => state[key] ?? key.replace(/^TASK_/, '').toLowerCase();
}
