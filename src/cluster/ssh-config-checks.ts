import type { Finding, SpecPath } from './checks.js';
import { sshConfigOf, type LocalPlaces } from './normalize.js';
import type { ClusterFile } from './schema.js';
import type { SshConfigEntry, SshConfigFlaw } from './ssh-config.js';

/** What in ssh_config keeps Perijove from connecting to the hosts of a spec as `ssh` would. */
export function checkSshConfig({ ssh, hosts }: ClusterFile, places: LocalPlaces): Finding[] {
  return hosts.flatMap((host, index) => {
    const key = host.sshAddress === undefined ? 'address' : 'sshAddress';
    const entry = sshConfigOf(host[key] ?? host.address, host, ssh, places);
    const jump = host.jump ?? ssh.jump;
    const own = (entry?.flaws ?? []).filter(({ proxy }) => proxy !== true || jump === undefined);
    const at: SpecPath = ['hosts', index, key];
    const found = own.map((flaw) => finding(flaw, at));
    if (jump !== undefined) {
      const there = host.jump === undefined ? ['ssh', 'jump'] : ['hosts', index, 'jump'];
      const inherited = host.config === undefined ? ssh : host;
      const behind = sshConfigOf(jump.address, jump, inherited, places);
      return [...found, ...flawsOfJump(behind).map((flaw) => finding(flaw, [...there, 'address']))];
    }
    if (entry?.proxyJump === undefined) return found;
    const proxy = sshConfigOf(entry.proxyJump.address, { config: host.config }, ssh, places);
    return [...found, ...flawsOfJump(proxy).map((flaw) => finding(flaw, at))];
  });
}

function flawsOfJump(entry: SshConfigEntry | undefined): SshConfigFlaw[] {
  if (entry === undefined) return [];
  if (entry.proxyJump === undefined) return [...entry.flaws];
  return [
    ...entry.flaws,
    {
      message: `the jump host is itself behind ${entry.proxyJump.address} in ssh_config, and Perijove supports one jump host`,
      remedy: 'Set `jump` in the spec to a host that is reached directly.',
    },
  ];
}

function finding({ message, remedy }: SshConfigFlaw, at: SpecPath): Finding {
  return { code: 'SPEC_BAD_VALUE', at, message, remedy };
}
