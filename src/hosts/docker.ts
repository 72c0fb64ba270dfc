import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import { noItems, type DaemonItem, type HostItems } from './items.js';

export const dockerDaemon: DaemonItem = {
  name: 'docker',
  activatedBy: 'docker.socket',
  answers: "timeout 10 docker version --format '{{.Server.Version}}'",
  // Trust the list only if it has its heading and agrees with the count.
  usedBy: `containers=$(timeout 10 docker ps --all --format 'table {{.ID}}') && count=$(timeout 10 docker info --format '{{.Containers}}') &&
case $containers:$count in
'CONTAINER ID:0') ;;
'CONTAINER ID'*:0 | 'CONTAINER ID:'* | *:) false ;;
'CONTAINER ID'*) echo "$containers" ;;
*) false ;;
esac`,
};

/** Whether containers run on the host: nodes, or Mesos. */
export function needsDocker({ mesos, nodes }: ClusterSpec, { roles }: HostSpec): boolean {
  return (
    (nodes.containerizer === 'docker' && roles.includes('agent')) ||
    (mesos.install.kind === 'image' && (roles.includes('master') || roles.includes('agent')))
  );
}

/** A running Docker. An existing one is accepted, whatever its origin. */
export function dockerItems(spec: ClusterSpec, host: HostSpec): HostItems {
  if (!needsDocker(spec, host)) return noItems;
  return { ...noItems, packages: ['docker.io', 'iptables'], daemons: [dockerDaemon] };
}
