import { readFileSync } from 'node:fs';
import { formatOf } from './mesos-formats.js';

/** One request to Apache Mesos 1.3.2 and its reply. */
export interface Exchange {
  /** File of the recording, below `test/fixtures/mesos`. */
  readonly file: string;
  readonly title: string;
  /** Port of the queried master or agent. */
  readonly port: number;
  readonly method: string;
  readonly path: string;
  /** As sent, without `Host`, `User-Agent` and `Content-Length`; names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly reply: Reply;
}

export interface Reply {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Head and body as received, with CRLF in the head. Chunked coding of streams is removed. */
  readonly raw: string;
  readonly text: string;
}

export interface Section {
  readonly title: string;
  readonly text: string;
}

export function recording(name: string): Buffer {
  return readFileSync(new URL(`../fixtures/mesos/${name}`, import.meta.url));
}

/** The parts of a transcript, each below a line `######## title`. */
export function sections(file: string): Section[] {
  return recording(file)
    .toString('utf8')
    .replaceAll('\r\n', '\n')
    .split(/^######## /m)
    .slice(1)
    .map((part) => {
      const end = part.indexOf('\n');
      return { title: part.slice(0, end), text: part.slice(end + 1) };
    });
}

/** Every exchange of a transcript whose request head and whole reply were recorded, in order. */
export function exchanges(file: string): Exchange[] {
  return sections(file).flatMap(({ title, text }) => {
    const command = /^\$ curl (.*)$/m.exec(text)?.[1];
    const head = text
      .split('\n')
      .filter((line) => line.startsWith('> '))
      .map((line) => line.slice(2));
    const [method, path] = head[0]?.split(' ') ?? [];
    const port = /http:\/\/127\.0\.0\.1:(\d+)/.exec(command ?? '')?.[1];
    const reply = /^---- reply[^\n]*\n(HTTP\/1\.1 [^]*)$/m.exec(text)?.[1];
    if (command === undefined || method === undefined || path === undefined || !port || !reply) return [];
    return [
      {
        file,
        title,
        port: Number(port),
        method,
        path,
        headers: Object.fromEntries(
          head.slice(1).flatMap((line) => {
            const [name, value] = headerOf(line);
            return ['host', 'user-agent', 'content-length', ''].includes(name) ? [] : [[name, value]];
          }),
        ),
        body: /--data-binary '([^']*)'/.exec(command)?.[1],
        reply: replyOf(reply, method),
      },
    ];
  });
}

/** A reply as printed in the transcripts. */
export function replyOf(printed: string, method = 'GET'): Reply {
  const end = printed.indexOf('\n\n');
  const lines = printed.slice(0, end).split('\n');
  const headers = Object.fromEntries(lines.slice(1).map(headerOf));
  const length = headers['content-length'];
  const rest = printed.slice(end + 2);
  const text =
    method === 'HEAD'
      ? ''
      : length === undefined
        ? rest.trimEnd()
        : Buffer.from(rest).subarray(0, Number(length)).toString('utf8');
  return {
    status: Number(lines[0]?.split(' ')[1]),
    headers,
    raw: `${lines.join('\r\n')}\r\n\r\n${text}`,
    text,
  };
}

function headerOf(line: string): [name: string, value: string] {
  const colon = line.indexOf(':');
  return colon < 0 ? ['', ''] : [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
}

/** Records of a RecordIO stream, recorded one per line: length, tab, JSON. */
export function recordsOf(file: string): string[] {
  return recording(file)
    .toString('utf8')
    .split('\n')
    .filter((line) => /^\d+\t/.test(line))
    .map((line) => line.slice(line.indexOf('\t') + 1));
}

/**
 * The shape of JSON, as a sorted list of paths with the formats or types of their values: `.slaves[].port: number`.
 * Empty values are listed as `{}` or `[]`, unless another element of the same list has more.
 */
export function shapeOf(json: unknown): string[] {
  const paths = new Set<string>();
  const walk = (value: unknown, path: string): void => {
    if (Array.isArray(value)) {
      if (value.length === 0) paths.add(`${path}: []`);
      for (const item of value) walk(item, `${path}[]`);
    } else if (value !== null && typeof value === 'object') {
      const entries = Object.entries(value);
      if (entries.length === 0) paths.add(`${path}: {}`);
      for (const [name, item] of entries) walk(item, `${path}.${name}`);
    } else {
      paths.add(`${path}: ${value === null ? 'null' : (formatOf(value) ?? typeof value)}`);
    }
  };
  walk(json, '');
  return [...paths]
    .filter((path) => {
      const container = /^(.*): (?:\[\]|\{\})$/.exec(path)?.[1];
      return (
        container === undefined ||
        ![...paths].some((other) => other.startsWith(`${container}[`) || other.startsWith(`${container}.`))
      );
    })
    .sort();
}
