/** The first spec of a cluster, from what its owner knows: its hosts, and where Mesos comes from. Pure. */
import { stringify } from 'yaml';
import { PerijoveError } from '../errors/error.js';

export interface FirstSpec {
  /** `10.0.0.11,10.0.0.12`, or with names: `a=10.0.0.11`. */
  readonly hosts: string;
  /** `package:NAME`, `path:DIRECTORY`, `image:NAME` or `lab`. */
  readonly mesos: string;
  readonly user?: string | undefined;
  /** Name of an existing Docker network; a VXLAN without one. */
  readonly network?: string | undefined;
  /** A directory that all hosts share; a GlusterFS volume without one. */
  readonly storage?: string | undefined;
}

const nodeSubnet = '192.168.0.0/24';

/** A commented `cluster.yaml`. @throws PerijoveError USAGE */
export function firstSpec(given: FirstSpec, schema: string): string {
  const { user = 'root', network, storage } = given;
  const spec = {
    name: 'cluster',
    ssh: { user },
    hosts: hostsOf(given.hosts),
    mesos: { install: mesosOf(given.mesos), agent: { flags: dockerFlags } },
    network: { subnet: nodeSubnet, ...(network === undefined ? { vxlan: {} } : { existing: network }) },
    storage: storage === undefined ? { gluster } : { path: storage },
    nodes: { containerizer: 'docker' },
  };
  return `# yaml-language-server: $schema=${schema}
#
# docs/reference/spec.md documents every key. Keys that are absent here have their defaults. Each host runs a ZooKeeper
# server, a Mesos master, a Mesos agent and a proxy; nodes are Docker containers in ${nodeSubnet}.

${stringify(spec)}`;
}

const dockerFlags = {
  containerizers: 'docker,mesos',
  image_providers: 'docker',
  isolation: 'docker/runtime',
};
/** A bare host has one file system: bricks on it are accepted. */
const gluster = { volume: 'notebooks', brick: '/srv/brick', mount: '/srv/notebooks', force: true };

function hostsOf(text: string): { readonly name: string; readonly address: string }[] {
  return text.split(',').map((entry, index) => {
    const [, name = `h${index + 1}`, address = ''] = /^(?:([^=]*)=)?(.*)$/.exec(entry.trim()) ?? [];
    return { name, address };
  });
}

function mesosOf(text: string): Readonly<Record<string, string>> | 'lab' {
  if (text === 'lab') return text;
  const [, kind = '', value = ''] = /^(package|path|image):(.+)$/.exec(text) ?? [];
  if (kind !== '') return { [kind]: value };
  throw new PerijoveError('USAGE', `invalid source of Mesos: ${text}`, {
    remedy:
      'Use package:NAME, path:DIRECTORY or image:NAME (docs/how-to/real-mesos.md), or lab: the stand-in, which may not serve real users.',
  });
}
