import { quote } from '../ssh/shell.js';
import type { RenderedFile } from './init.js';

/** Shell that writes a small text completely or not at all, for a script under `set -e`. */
export function writeFileScript({ path, mode, text }: RenderedFile): string {
  const temporary = `${quote(path)}.$$`;
  return [
    `{ printf '%s' ${quote(text)} > ${temporary} && chmod ${mode.toString(8)} ${temporary} && mv -fT ${temporary} ${quote(path)}; } || { rm -f ${temporary}; exit 1; }`,
  ].join('\n');
}
