import { isMap, isSeq, parseDocument, visit } from 'yaml';
import { PerijoveError } from '../errors/error.js';
import { labPaths } from './state.js';

/** Address prefix of the default lab, as in its specs. */
const defaultSubnet = '127.0';

/** The lab decides how its hosts are reached, so these keys are removed from each host. */
const accessKeys = [
  ...(['user', 'key', 'agent', 'knownHosts', 'hostKeys', 'config', 'jump', 'sshAddress', 'become'] as const),
];

export interface LabPlace {
  readonly stateDir: string;
  /** Such as `127.0` or `127.28`. */
  readonly subnet: string;
  /** The local user for SSH to the hosts. */
  readonly user: string;
  /** Absolute path. */
  readonly jupyterLab: string;
}

/**
 * The spec of a lab, from an example or a user's file. Its hosts become lab hosts, with their directories
 * below the state directory and addresses in the lab's subnet. Everything else stays, comments included. An
 * invalid spec is returned unchanged; loading it then reports the error.
 */
export function renderLabSpec(text: string, place: LabPlace): string {
  const document = parseDocument(text);
  if (document.errors.length > 0 || !isMap(document.contents)) return text;
  const paths = labPaths(place.stateDir);

  visit(document, {
    Scalar(key, node) {
      if (key === 'key' || typeof node.value !== 'string') return;
      if (node.value.startsWith(`${defaultSubnet}.`)) {
        node.value = `${place.subnet}${node.value.slice(defaultSubnet.length)}`;
      }
    },
  });

  document.setIn(['ssh', 'user'], place.user);
  document.setIn(['ssh', 'key'], paths.key);
  document.setIn(['ssh', 'knownHosts'], paths.knownHosts);
  document.setIn(['ssh', 'become'], 'none');
  for (const key of ['config', 'jump']) document.deleteIn(['ssh', key]);
  const hosts = document.get('hosts');
  for (const host of isSeq(hosts) ? hosts.items : []) {
    if (!isMap(host)) continue;
    for (const key of accessKeys) host.delete(key);
    const name = host.get('name');
    if (typeof name === 'string') host.set('dir', paths.hostDir(name));
  }
  if (!document.hasIn(['storage', 'gluster'])) document.setIn(['storage', 'path'], paths.notebooks);
  document.setIn(['jupyter', 'executable'], place.jupyterLab);
  return document.toString({ lineWidth: 0 });
}

/**
 * The first two numbers of the lab's addresses: `127.0` … `127.255`.
 *
 * @throws PerijoveError USAGE
 */
export function labSubnet(subnet: string): string {
  const [, second] = /^127\.(\d{1,3})$/.exec(subnet) ?? [];
  if (second !== undefined && Number(second) <= 255 && String(Number(second)) === second) return subnet;
  throw new PerijoveError('USAGE', `--subnet must be 127.0 to 127.255, not \`${subnet}\``);
}
