import type { ClusterView } from '../view.js';
import { useWords } from './context.js';
import type { Words } from './words.js';

/** Who leads what, in one row. */
export function Facts({ view }: { readonly view: ClusterView }) {
  const words = useWords();
  return (
    <section aria-labelledby="facts">
      <h2 id="facts" class="unseen">
        {words.leads}
      </h2>
      <dl class="facts">
        {factsOf(view, words).map(({ name, value, more }) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <strong>{value}</strong>
              <span>{more}</span>
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function factsOf({ status }: ClusterView, words: Words) {
  const { jupyter, etcd, mesos, zookeeper, framework } = status;
  const hostOf = (node: string | null) => framework.tasks.find((task) => task.node === node)?.host ?? null;
  const place = (node: string | null) => {
    const host = hostOf(node);
    if (node === null) return words.nobody;
    return host === null ? node : words.on(node, host);
  };
  const serving = zookeeper.members.filter(({ mode }) => ['leader', 'follower', 'standalone'].includes(mode));
  const first = zookeeper.members.find(({ mode }) => mode === 'leader' || mode === 'standalone');
  const healthy = etcd.members.filter((member) => member.healthy).length;
  const registered = mesos.agents.filter(({ state }) => state === 'registered').length;
  const version = mesos.masters.find((master) => master.version !== null)?.version ?? '';
  const counts = jupyter.nodes.map(({ kernels }) => kernels);
  const busy = counts.filter((count) => count !== null && count > 0).length;
  const kernels = counts.reduce<number>((sum, count) => sum + (count ?? 0), 0);
  const isKnown = counts.some((count) => count !== null);
  return [
    {
      ...{ name: 'Jupyter', value: place(jupyter.node) },
      more: jupyter.generation === null ? '' : words.generation(jupyter.generation),
    },
    {
      ...{ name: 'etcd', value: place(etcd.leader) },
      more: etcd.term === null ? '' : words.term(etcd.term, healthy, etcd.members.length),
    },
    {
      ...{ name: 'Mesos', value: mesos.leader ?? words.nobody },
      more: words.agents(registered, mesos.agents.length, mesos.standIn ? words.standIn : version),
    },
    {
      ...{ name: 'ZooKeeper', value: first?.host ?? words.nobody },
      more: words.members(serving.length, zookeeper.members.length),
    },
    {
      ...{ name: words.kernelsTitle, value: isKnown ? String(kernels) : words.unknown },
      more: isKnown && kernels > 0 ? words.kernelsOn(busy) : '',
    },
  ];
}
