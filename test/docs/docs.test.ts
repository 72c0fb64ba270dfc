/** What the hand-written docs name must exist: files, headings, commands with their options, and a valid spec. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { createColors } from 'picocolors';
import { describe, expect, it } from 'vitest';
import { parse } from '../../src/cli/parser.js';
import { verbs } from '../../src/cli/verbs.js';
import { parseSpec } from '../../src/cluster/load.js';

function filesBelow(directory: string, pattern: RegExp): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((file) => path.join(directory, file))
    .filter((file) => pattern.test(file));
}

const read = (file: string) => readFileSync(file, 'utf8');
const documents = ['README.md', 'README.zh-CN.md', 'CONTRIBUTING.md', ...filesBelow('docs', /\.md$/)];

/** The anchors that GitHub gives the headings of a document. */
function anchors(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

const withoutCode = (text: string) => text.replace(/```[^]*?```/g, '');

describe.each(documents)('%s', (document) => {
  const text = read(document);

  it('links to files and headings that exist', () => {
    for (const [, target = ''] of withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [file = '', anchor] = target.split('#');
      const linked = file === '' ? document : path.join(path.dirname(document), file);
      expect(existsSync(linked), `${document} links to ${target}`).toBe(true);
      if (anchor !== undefined) expect(anchors(withoutCode(read(linked))), linked).toContain(anchor);
    }
  });

  it('shows commands that exist', async () => {
    for (const line of [...shellCommands(text), ...namedCommands(text)]) {
      const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
      const io = { colors: createColors(false), columns: 80, isTTY: false, write: () => undefined };
      await parse(words, verbs, '0', io).catch((error: unknown) => {
        // Running text names a command without its arguments.
        if (!shellCommands(text).includes(line) && /argument/.test(String(error))) return;
        expect.unreachable(`perijove ${line}: ${String(error)}`);
      });
    }
  });
});

/** What follows `perijove` in the lines of shell blocks. */
function shellCommands(text: string): string[] {
  const blocks = [...text.matchAll(/```sh\n([^]*?)```/g)].map(([, block = '']) => block);
  return blocks.flatMap((block) => block.split('\n')).flatMap(commandOf);
}

/** The same, of running text and tables. */
function namedCommands(text: string): string[] {
  const codes = [...withoutCode(text).matchAll(/`((?:npx )?perijove [^`]*)`/g)].map(([, code = '']) => code);
  return codes.flatMap(commandOf);
}

function commandOf(line: string): string[] {
  const [, command] = /\bperijove ((?!.*[…<[])[a-z-][^#|&]*)/.exec(line) ?? [];
  return command === undefined ? [] : [command.trim()];
}

it('finds the commands of the tutorial', () => {
  const found = shellCommands(read('docs/tutorial.md'));
  expect(found).toEqual(expect.arrayContaining(['check', 'up', 'open jupyter --url', 'down --purge']));
});

it('the tutorial writes a valid cluster.yaml', () => {
  const [, yaml = ''] = /```yaml\n([^]*?)```/.exec(read('docs/tutorial.md')) ?? [];
  expect(parseSpec(yaml, 'docs/tutorial.md').problems).toEqual([]);
});

it('the index has every page', () => {
  const index = read('docs/README.md');
  for (const page of filesBelow('docs', /\.md$/).filter((file) => file !== path.join('docs', 'README.md'))) {
    expect(index).toContain(`](${path.relative('docs', page)})`);
  }
});

it('sources name pages that exist', () => {
  const sources = ['src', 'scripts', 'bench', 'test', 'examples'].flatMap((directory) =>
    filesBelow(directory, /\.(ts|js|yaml)$/),
  );
  for (const source of [...sources, 'docker-compose.yml']) {
    for (const [page] of read(source).matchAll(/\bdocs\/[\w./-]+\.(?:md|svg|png)\b/g)) {
      expect(existsSync(page), `${source} names ${page}`).toBe(true);
    }
  }
});
