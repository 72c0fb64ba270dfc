/** Renders commands in texts as the user can type them. */
import path from 'node:path';

/**
 * How the user runs this program: `npx perijove` if started by npm, `node bin/perijove.js` if by node, else
 * `perijove`.
 *
 * @param script absolute path of the running script, as it was called
 */
export function programName(
  script: string,
  { env, cwd }: { readonly env: NodeJS.ProcessEnv; readonly cwd: string },
) {
  if ((env['npm_command'] ?? '') !== '') return 'npx perijove';
  return script.endsWith('perijove.js') ? `node ${path.relative(cwd, script)}` : 'perijove';
}

/** A text whose commands (`perijove up`, in backticks) are as the user can type them. */
export function typeable(text: string, program: string): string {
  return text.replaceAll(/`perijove(?=[ `])/g, () => `\`${program}`);
}
