import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseSpec } from '../../src/cluster/load.js';
import { allItems } from '../../src/deployment/desired.js';
import { labPackages } from '../../src/lab/prerequisites.js';

const page = readFileSync('docs/reference/parts.md', 'utf8');
const [, section = ''] = /^## Debian packages$([^]*?)^## /m.exec(page) ?? [];
const listed = new Set(
  [...section.matchAll(/^\| (`.*?) +\|/gm)].flatMap(([, names = '']) =>
    [...names.matchAll(/`([a-z\d.-]+)`/g)].map(([, name]) => name),
  ),
);

function inExample(name: string): string[] {
  const { spec } = parseSpec(readFileSync(`examples/${name}`, 'utf8'), `examples/${name}`);
  return spec?.hosts.flatMap((host) => allItems(spec, host).packages) ?? [];
}

function inDockerfile(name: string): string[] {
  const text = readFileSync(`images/${name}/Dockerfile`, 'utf8').replaceAll('\\\n', ' ');
  const installs = [...text.matchAll(/apt-get (?:install|download) ([^&|;]*)/g)];
  return installs.flatMap(([, words = '']) => words.split(/\s+/).filter((word) => /^[a-z]/.test(word)));
}

describe('the Debian packages of docs/reference/parts.md', () => {
  it.each([
    ['of a lab', labPackages],
    ['of hosts with nodes in containers', inExample('compose.yaml')],
    ['of hosts of the tutorial', inExample('three-hosts.yaml')],
    ['of hosts of a lab', inExample('lab.yaml')],
    ['of the image of the nodes', inDockerfile('node')],
    ['of the image of the workers', inDockerfile('perijove')],
  ])('include those %s', (_whose, packages) => {
    expect(packages.length).toBeGreaterThan(0);
    expect(packages.filter((name) => !listed.has(name))).toEqual([]);
  });
});
