import { exitCodes, PerijoveError } from '../../errors/error.js';
import {
  createPayloadKeys,
  payloadKeysFile,
  readPayloadKeys,
  rotatePayloadKeys,
} from '../../temporal/payload-keys.js';
import { defineCommand } from '../command.js';
import { printJson, printText } from '../io.js';

const actions = ['create', 'rotate'] as const;

export const payloadKeysCommand = defineCommand({
  name: 'payload-keys',
  summary: 'the keys that encrypt what Temporal stores',
  description:
    'Without an action, prints the file of the keys and their IDs. `create` makes the file with a key; from then on ' +
    'this machine encrypts the inputs, results, memos and summaries of workflows before it sends them to Temporal. ' +
    '`rotate` adds a key, which encrypts from then on; the earlier ones still decrypt. Copy the file to each machine ' +
    'that runs a worker or `perijove`, then restart the workers. The file is ~/.config/perijove/payload-keys, or ' +
    'what PERIJOVE_PAYLOAD_KEYS names. Keep a copy: without it the stored workflows cannot be read.',
  args: { action: { description: 'create or rotate', optional: true, choices: actions } },
  examples: [
    ['perijove payload-keys create', 'encrypt what Temporal stores'],
    [
      'scp ~/.config/perijove/payload-keys h2:.config/perijove/',
      'give the keys to the machine of another worker',
    ],
  ],
  async run(context, { args: { action } }) {
    const { env } = context;
    if (action !== undefined && action !== 'create' && action !== 'rotate') {
      throw new PerijoveError('USAGE', `unknown action: ${action}`, {
        remedy: 'See `perijove payload-keys --help`.',
      });
    }
    const keys =
      action === 'create'
        ? await createPayloadKeys(env)
        : action === 'rotate'
          ? await rotatePayloadKeys(env)
          : readPayloadKeys(env);
    const ids = keys?.keys.map(({ id }) => id) ?? [];
    const file = payloadKeysFile(env);
    if (context.json) printJson(context, { file, exists: keys !== undefined, ids });
    else printText(context, textOf(file, ids, action));
    return exitCodes.done;
  },
});

function textOf(file: string, ids: readonly string[], action: string | undefined): string {
  const [first, ...others] = ids;
  if (first === undefined) {
    return `${file} does not exist: workflows are stored in clear.\nRun \`perijove payload-keys create\` to encrypt them.\n`;
  }
  const list = [`${first}  encrypts and decrypts`, ...others.map((id) => `${id}  decrypts`)];
  const next =
    action === undefined
      ? []
      : ['', 'Copy this file to each machine that runs a worker or perijove, and restart the workers.'];
  return `${[file, ...list, ...next].join('\n')}\n`;
}
