/** Who is notified, as a file of the workers describes it: no spec, and so nobody who starts a workflow, decides it. */
import { readFileSync, statSync } from 'node:fs';
import { z } from 'zod';
import { messageOf, PerijoveError } from '../errors/error.js';

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,40}$/);
const webhook = z.strictObject({
  name,
  url: z.url({ protocol: /^https?$/ }),
  /** Such as a credential. */
  headers: z.record(z.string().regex(/^[\w-]+$/), z.string().regex(/^[\t\x20-\x7e]+$/)).default({}),
});
const command = z.strictObject({
  name,
  /** Program and arguments; no shell reads them. */
  command: z.tuple([z.string().startsWith('/')], z.string()),
});
const receivers = z.strictObject({ receivers: z.array(z.union([webhook, command])).min(1) });

export type Webhook = Readonly<z.infer<typeof webhook>>;
export type Command = Readonly<z.infer<typeof command>>;
export type Receiver = Webhook | Command;

/** The receivers in a file of JSON that nobody else may read. @throws PerijoveError NOTIFICATIONS_INVALID */
export function readReceivers(file: string): readonly Receiver[] {
  const invalid = (why: string, more: { readonly remedy?: string } = {}) =>
    new PerijoveError('NOTIFICATIONS_INVALID', `${file}: ${why}`, { file, ...more });
  let data: unknown;
  try {
    const { mode } = statSync(file);
    if ((mode & 0o077) !== 0) throw invalid('others can read it', { remedy: `Run \`chmod 600 ${file}\`.` });
    data = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error instanceof PerijoveError) throw error;
    // What JSON.parse quotes may be a secret.
    throw invalid(error instanceof SyntaxError ? 'it is not valid JSON' : messageOf(error));
  }
  const { data: found, error } = receivers.safeParse(data);
  if (!found) {
    const [issue] = error.issues;
    throw invalid(`not as expected at ${issue?.path.map(String).join('.') || 'the top'}`);
  }
  const names = found.receivers.map((each) => each.name);
  const twice = names.find((each, index) => names.indexOf(each) !== index);
  if (twice !== undefined) throw invalid(`the name ${twice} is there twice`);
  return found.receivers;
}
