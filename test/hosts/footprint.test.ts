import { describe, expect, it } from 'vitest';
import { unlisted, unseen } from '../support/footprint.js';
import { addFirewall, compare, parseSnapshot } from '../support/snapshot.js';

const whole = `== unit
ssh.service enabled enabled
apt-daily.timer enabled enabled
== active
ssh.service loaded active running OpenBSD Secure Shell server
== process
1 root sshd
== port
tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=60,fd=3))
== account
passwd root:x:0:0:root:/root:/bin/bash
== sysctl
net.ipv4.ip_forward = 1
kernel.random.uuid = 0f7c
== mount
70 60 0:61 / / rw,relatime - overlay overlay rw
== link
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN mode DEFAULT group default qlen 1000\\    link/loopback 00:00:00:00:00:00
1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever
== route
default via 172.16.6.1 dev eth0
== package
tar ii  1.34
== file
/etc/hosts\tf 644 root:root 
da39a3ee5e6b4b0d3255bfef95601890afd80709e3b0c44298fc1c149afbf4c8  /etc/hosts
packaged\t/etc/new.conf
== complete
`;
const changed = (from: string, to: string) =>
  compare(parseSnapshot(whole), parseSnapshot(whole.replace(from, to)));

describe('a snapshot', () => {
  it('is rejected if it is truncated, or if a part of it is empty', () => {
    expect(() => parseSnapshot(whole.slice(0, whole.indexOf('== mount')))).toThrow('cut short');
    expect(() => parseSnapshot(whole.replace('tar ii  1.34\n', ''))).toThrow('no package');
  });

  it('equals itself except for values that always change', () => {
    expect(changed('0f7c', '1a2b')).toEqual([]);
  });

  it('contains firewall rules, without counters and without those of the name server of Compose', () => {
    const found = new Map<string, string>();
    addFirewall(
      found,
      'iptables-nft-save',
      '*nat\n:INPUT ACCEPT [3:180]\n-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT\n-A INPUT -j DROP\nCOMMIT\n',
    );
    expect([...found.keys()]).toEqual([
      'firewall: iptables-nft nat :INPUT ACCEPT',
      'firewall: iptables-nft nat -A INPUT -j DROP',
    ]);
  });
});

describe('the list of what Perijove changes on a host', () => {
  it.each([
    ['a disabled unit', 'ssh.service enabled', 'ssh.service disabled', 'unit: ssh.service'],
    ['a removed unit', 'apt-daily.timer enabled enabled\n', '', 'unit: apt-daily.timer'],
    ['another route', 'via 172.16.6.1', 'via 172.16.6.2', 'route: default via 172.16.6.1 dev eth0'],
    ['a kernel setting', 'forward = 1', 'forward = 0', 'sysctl: net.ipv4.ip_forward'],
    ['an upgrade', 'ii  1.34', 'ii  1.35', 'package: tar'],
    ['other content', 'da39a3ee', 'da39a3ef', 'file: content of /etc/hosts'],
    ['an unknown file', '/etc/hosts\tf', '/etc/odd\tf 644 root:root\n/etc/hosts\tf', 'file: /etc/odd'],
  ])('does not contain %s', (_what, from, to, entry) => {
    expect(unlisted('up', changed(from, to)).map((each) => each.entry)).toContain(entry);
  });

  it('contains a file of a new package, and after `down --purge` no unit of the cluster', () => {
    const file = changed('/etc/hosts\tf', '/etc/new.conf\tf 644 root:root\n/etc/hosts\tf');
    expect(file).toHaveLength(1);
    expect(unlisted('purged', file)).toEqual([]);
    const unit = changed(
      'ssh.service enabled',
      'perijove-a-proxy.service enabled enabled\nssh.service enabled',
    );
    expect(unlisted('up', unit)).toEqual([]);
    expect(unlisted('purged', unit)).toEqual(unit);
  });

  it('reports entries that match no difference', () => {
    expect(unseen('purged', [])).toContain('changed: ^file: \\/var\\/lib\\/docker$');
  });
});
