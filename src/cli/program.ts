/** The commands that texts name, as they can be typed where this process was started. */
import path from 'node:path';

/**
 * How this program is called: `npx perijove` when npm started it, `node bin/perijove.js` when node did, else
 * `perijove`.
 *
 * @param script absolute path of the file that runs, as it was called
 */
export function programName(
  script: string,
  { env, cwd }: { readonly env: NodeJS.ProcessEnv; readonly cwd: string },
) {
  if ((env['npm_command'] ?? '') !== '') return 'npx perijove';
  return script.endsWith('perijove.js') ? `node ${path.relative(cwd, script)}` : 'perijove';
}

/** A text with each command in it (`perijove up`, between backticks) as it can be typed. */
export function typeable(text: string, program: string): string {
  return text.replaceAll(/`perijove(?=[ `])/g, () => `\`${program}`);
}
