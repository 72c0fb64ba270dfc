import type { Lead, Topology } from '../topology.js';
import { useWords } from './context.js';
import { Glyph } from './glyphs.js';
import type { Words } from './words.js';

/** Height of a row, in pixels: the arrows meet the rows. */
const row = 44;
const width = 100;

/** Arrows from each host's port for users to the node that serves, and the same as text. */
export function Doors({ topology }: { readonly topology: Topology }) {
  const words = useWords();
  const { leads } = topology;
  const nodes = [
    ...topology.hosts.flatMap(({ name, nodes: all }) => all.map((node) => ({ ...node, host: name }))),
  ]
    .concat(topology.homeless.map((node) => ({ ...node, host: '' })))
    .toSorted((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
  const height = Math.max(leads.length, nodes.length) * row;
  const middle = (index: number, count: number) => ((index + 0.5) * height) / Math.max(1, count);
  return (
    <section class="panel doors" aria-labelledby="doors">
      <h2 id="doors">{words.doors}</h2>
      <p class="soft">{words.doorsText}</p>
      <div class="routes" style={{ height: `${height}px` }}>
        <ul>
          {leads.map((lead) => (
            <li key={lead.host}>
              <a href={lead.url} target="_blank" rel="noreferrer">
                {lead.host}
                <span class="port">:{lead.port}</span>
              </a>
              <span class="unseen">{leadText(lead, nodes, words)}</span>
              {!lead.healthy && (
                <span class={lead.known ? 'flag bad' : 'flag'} aria-hidden="true">
                  {lead.known ? words.notAnswering : words.unknown}
                </span>
              )}
            </li>
          ))}
        </ul>
        <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true">
          {leads.map((lead, index) => {
            const to = nodes.findIndex(({ name }) => name === lead.node);
            if (to < 0) return null;
            const [y1, y2] = [middle(index, leads.length), middle(to, nodes.length)];
            const path = `M0 ${y1} C${width * 0.55} ${y1} ${width * 0.45} ${y2} ${width - 4} ${y2}`;
            return <path key={lead.host} class={lead.healthy ? 'route' : 'route broken'} d={path} />;
          })}
        </svg>
        <ul aria-hidden="true">
          {nodes.map((node) => (
            <li key={node.name} class={node.serves ? 'serving' : ''}>
              {leads.some((lead) => lead.node === node.name) && <span class="arrow" />}
              <span class="target">
                <Glyph health={node.serves && node.health === 'good' ? 'leads' : node.health} />
                <span>
                  {node.name}
                  <small>{node.host}</small>
                </span>
              </span>
            </li>
          ))}
        </ul>
      </div>
    </section>
  );
}

function leadText(
  { node, known, healthy, through }: Lead,
  nodes: readonly { readonly name: string; readonly host: string }[],
  words: Words,
): string {
  if (!known) return words.leadsUnknown;
  if (node === null) return words.leadsNowhere;
  const host = nodes.find(({ name }) => name === node)?.host;
  const parts = [
    words.leadsTo(node, host ?? null),
    ...(through === null ? [] : [words.leadsThrough(through)]),
    ...(healthy ? [] : [words.notAnswering]),
  ];
  return ` ${parts.join(', ')}`;
}
