import { useContext } from 'preact/hooks';
import type { Fact, HostCard, NodePart, Part, Topology } from '../topology.js';
import { SettingContext, useStateWords, useWords } from './context.js';
import { timeText } from './format.js';
import { Glyph } from './glyphs.js';

/** A card for each host, with what runs on it. */
export function Hosts({ topology }: { readonly topology: Topology }) {
  const words = useWords();
  return (
    <section class="hosts" aria-labelledby="hosts">
      <h2 id="hosts" class="unseen">
        {words.hosts}
      </h2>
      {topology.hosts.map((host) => (
        <Card key={host.name} host={host} />
      ))}
      {topology.homeless.length > 0 && (
        <article class="panel card homeless">
          <h3>{words.homeless}</h3>
          <Nodes nodes={topology.homeless} />
        </article>
      )}
    </section>
  );
}

function Card({ host }: { readonly host: HostCard }) {
  const words = useWords();
  return (
    <article class={host.silent ? 'panel card silent' : 'panel card'} aria-labelledby={`host-${host.name}`}>
      <div class="title">
        <h3 id={`host-${host.name}`}>{host.name}</h3>
        <span class="address">{host.address}</span>
        {host.silent && <span class="flag">{words.state['no-answer']}</span>}
        {host.cordoned && <span class="flag">{words.cordoned}</span>}
      </div>
      <ul class="parts">
        {host.parts.map((part) => (
          <li key={part.kind}>
            <PartRow part={part} />
          </li>
        ))}
      </ul>
      <h4>{words.nodes}</h4>
      {host.nodes.length === 0 ? <p class="soft">{words.noNodes}</p> : <Nodes nodes={host.nodes} />}
    </article>
  );
}

function PartRow({ part }: { readonly part: Part }) {
  const words = useWords();
  const stateText = useStateWords();
  return (
    <details>
      <summary>
        <Glyph health={part.health} />
        <span class="what">{words.part[part.kind]}</span>
        <span class={`state ${part.health}`}>{stateText(part.state)}</span>
      </summary>
      <FactList facts={part.facts} log={part.log} url={part.url} />
    </details>
  );
}

function Nodes({ nodes }: { readonly nodes: readonly NodePart[] }) {
  return (
    <ul class="nodes">
      {nodes.map((node) => (
        <li key={node.name} class={node.serves ? 'serving' : ''}>
          <NodeRow node={node} />
        </li>
      ))}
    </ul>
  );
}

function NodeRow({ node }: { readonly node: NodePart }) {
  const words = useWords();
  const stateText = useStateWords();
  const { name, health, state, etcd, serves, jupyter, kernels } = node;
  const isRunning = state === 'TASK_RUNNING';
  return (
    <details>
      <summary>
        <Glyph health={health} />
        <span class="what">{name}</span>
        <span class="tags">
          {serves && <span class="tag serves">{words.serves}</span>}
          {etcd === 'leads' && (
            <span class="tag leads">
              <Glyph health="leads" />
              {words.leadsEtcd}
            </span>
          )}
          {isRunning && etcd === 'bad' && <span class="tag bad">{words.etcdBad}</span>}
          {!isRunning && <span class={`tag ${health}`}>{stateText(state)}</span>}
          {isRunning && jupyter !== null && jupyter !== 'ready' && (
            <span class="tag">{words.jupyter(stateText(jupyter))}</span>
          )}
          {isRunning && !serves && etcd === 'good' && jupyter === 'ready' && kernels === 0 && (
            <span class="tag">{stateText('standing-by')}</span>
          )}
          {kernels !== null && kernels > 0 && <span class="tag">{words.kernels(kernels)}</span>}
        </span>
      </summary>
      {node.message !== null && <p lang="en">{node.message}</p>}
      <FactList
        facts={node.facts}
        log={`${name}/jupyter`}
        more={isRunning ? words.jupyter(jupyter === null ? words.unknown : stateText(jupyter)) : undefined}
      />
    </details>
  );
}

interface FactListProps {
  readonly facts: readonly Fact[];
  readonly log: string;
  readonly url?: string | undefined;
  readonly more?: string | undefined;
}

const times: readonly Fact['name'][] = ['since', 'leadsSince', 'startedAt', 'registeredAt', 'certificate'];

function FactList({ facts, log, url, more }: FactListProps) {
  const { words, language } = useContext(SettingContext);
  return (
    <dl class="details">
      {more !== undefined && (
        <div>
          <dt class="unseen">Jupyter</dt>
          <dd>{more}</dd>
        </div>
      )}
      {facts.map(({ name, value }) => (
        <div key={`${name} ${value}`}>
          <dt>{words.fact[name]}</dt>
          <dd>{times.includes(name) ? timeText(value, language) : value}</dd>
        </div>
      ))}
      <div>
        <dt>{words.log}</dt>
        <dd>
          <code>perijove logs {log}</code>
        </dd>
      </div>
      {url !== undefined && (
        <div>
          <dt>{words.open}</dt>
          <dd>
            <a href={url} target="_blank" rel="noreferrer">
              {url}
            </a>
          </dd>
        </div>
      )}
    </dl>
  );
}
