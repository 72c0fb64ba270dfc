import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { exitCodes, messageOf, PerijoveError } from '../../errors/error.js';
import { payloadKeysFile, readPayloadKeys } from '../../temporal/payload-keys.js';
import { defineCommand } from '../command.js';
import { printText } from '../io.js';
import { listening, serveUntil } from '../listening.js';

const defaults = { listen: '127.0.0.1:8234', origins: ['http://127.0.0.1:8233', 'http://localhost:8233'] };

export const codecServerCommand = defineCommand({
  name: 'codec-server',
  summary: "decrypt workflows for Temporal's Web UI and command line",
  description:
    'Serves the codec of the payload keys until Ctrl-C. In the Web UI, enter its URL under "Codec Server" (the ' +
    'glasses at the top right); for the command line, use `--codec-endpoint`. It answers web pages of the given ' +
    'origins alone. Who can reach it can read the workflows: beyond loopback it wants a token, and belongs behind a ' +
    'proxy with TLS.',
  options: {
    listen: {
      flags: '--listen <address>',
      description: `address:port to listen on (default: ${defaults.listen})`,
    },
    origin: {
      flags: '--origin <origins>',
      description: `origins of the Web UI, separated by commas (default: ${defaults.origins.join(',')})`,
    },
    tokenFile: {
      flags: '--token-file <file>',
      description: 'file with the token that each request must have as Authorization: Bearer',
    },
  },
  onInterrupt: 'service',
  examples: [['perijove codec-server', 'decrypt for a Web UI on this machine']],
  async run(context, { options }) {
    const { address, port } = placeOf(options.listen ?? defaults.listen);
    const origins = options.origin === undefined ? defaults.origins : options.origin.split(',').map(originOf);
    const token = options.tokenFile === undefined ? undefined : await tokenIn(options.tokenFile);
    if (token === undefined && !isLoopback(address)) {
      throw new PerijoveError('USAGE', `${address} can be reached by others, and there is no token`, {
        remedy: 'Pass --token-file, or listen on 127.0.0.1.',
      });
    }
    const keys = readPayloadKeys(context.env);
    if (keys === undefined) {
      throw new PerijoveError('PAYLOAD_KEYS_INVALID', `${payloadKeysFile(context.env)} does not exist`, {
        file: payloadKeysFile(context.env),
        remedy: 'Copy it from the machine of a worker, or run `perijove payload-keys create`.',
      });
    }
    const [{ createCodecServer }, { PayloadCipher }] = await Promise.all([
      import('../../temporal/codec-server.js'),
      import('../../temporal/payload-codec.js'),
    ]);
    const server = createCodecServer({ codec: new PayloadCipher(keys), origins, token });
    await listening(server.listen(port, address), `${address}:${port}`);
    printText(context, `http://${address}:${port} decrypts for ${origins.join(', ')}\n`);
    await serveUntil(context.signal, server);
    return exitCodes.done;
  },
});

function placeOf(text: string): { readonly address: string; readonly port: number } {
  const { address, port } = /^(?<address>[^:]+):(?<port>\d{1,5})$/.exec(text)?.groups ?? {};
  if (address === undefined || isIP(address) === 0 || Number(port) > 65_535) {
    throw new PerijoveError('USAGE', `--listen: not an address and a port: ${text}`, {
      remedy: `Example: --listen ${defaults.listen}`,
    });
  }
  return { address, port: Number(port) };
}

function originOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.origin !== text) {
    throw new PerijoveError('USAGE', `--origin: not an origin: ${text}`, {
      remedy: `Example: --origin ${defaults.origins[0]}`,
    });
  }
  return text;
}

async function tokenIn(file: string): Promise<string> {
  const token = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new PerijoveError('LOCAL_FILE', `${file}: ${messageOf(cause)}`, { file, cause });
  });
  if (token.trim() === '') throw new PerijoveError('LOCAL_FILE', `${file} is empty`, { file });
  return token.trim();
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.');
}
