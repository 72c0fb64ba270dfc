import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import { noItems, type DaemonItem, type HostItems } from './items.js';

export const dockerDaemon: DaemonItem = {
  name: 'docker',
  activatedBy: 'docker.socket',
  answers: "timeout 10 docker version --format '{{.Server.Version}}'",
  // A list without its heading is none, and the number must agree with it.
  usedBy: `containers=$(timeout 10 docker ps --all --format 'table {{.ID}}') && count=$(timeout 10 docker info --format '{{.Containers}}') &&
case $containers:$count in
'CONTAINER ID:0') ;;
'CONTAINER ID'*:0 | 'CONTAINER ID:'* | *:) false ;;
'CONTAINER ID'*) echo "$containers" ;;
*) false ;;
esac`,
};

/** Whether containers run on the host: nodes, or Mesos itself. */
export function needsDocker({ mesos, nodes }: ClusterSpec, { roles }: HostSpec): boolean {
  return (
    (nodes.containerizer === 'docker' && roles.includes('agent')) ||
    (mesos.install.kind === 'image' && (roles.includes('master') || roles.includes('agent')))
  );
}

/** A Docker that runs. Any that is there already will do, wherever it came from. */
export function dockerItems(spec: ClusterSpec, host: HostSpec): HostItems {
  if (!needsDocker(spec, host)) return noItems;
  return { ...noItems, packages: ['docker.io', 'iptables'], daemons: [dockerDaemon] };
}
