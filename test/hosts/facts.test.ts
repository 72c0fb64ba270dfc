import { describe, expect, it } from 'vitest';
import { parseFacts, parseHexAddress } from '../../src/hosts/facts.js';

const output = `clock 1700000000500000000
os-id debian
os-version 12
os-name Debian GNU/Linux 12 (bookworm)
arch x86_64
kernel 6.1.0
hostname box
uid 1000
init systemd
apt yes
apt-holder apt-get (process 12)
writable /opt/perijove
apart /srv/brick
free-kib 2048
inodes 1000 40
noexec /srv
dangling /srv/a b\t/srv/a b\t/mnt/x y
memory-kib 4096
cpus 2
package installed runit
package installed runit
daemon docker no yes
program java
address 10.0.0.1
listener 0100007F 0885 812 no java -jar x.jar /a b
listener 00000000 22B8 - no 
listener 0000000000000000FFFF00000100000A 13BA 7 yes mesos-master
listener 00000000000000000000000000000000 0050 9 no nginx
listener 00000000000000000000000001000000 0051 9 no only-ipv6
`;
const asked = { before: 1_700_000_000_000, after: 1_700_000_000_200, reference: 'worker' };

describe('parseFacts', () => {
  it('parses everything that the script prints', () => {
    expect(parseFacts(output, 'h1', asked)).toEqual({
      host: 'h1',
      os: { id: 'debian', version: '12', name: 'Debian GNU/Linux 12 (bookworm)' },
      arch: 'x86_64',
      kernel: '6.1.0',
      hostname: 'box',
      uid: 1000,
      init: { systemd: true, runit: false },
      apt: true,
      aptHeldBy: 'apt-get (process 12)',
      writable: ['/opt/perijove'],
      apart: ['/srv/brick'],
      freeBytes: 2 * 1024 * 1024,
      freeInodes: 40,
      noexec: '/srv',
      dangling: [{ path: '/srv/a b', link: '/srv/a b', target: '/mnt/x y' }],
      memoryBytes: 4 * 1024 * 1024,
      cpus: 2,
      clock: { offsetMs: 400, errorMs: 100, reference: 'worker' },
      packages: ['runit'],
      daemons: [{ name: 'docker', answers: false }],
      programs: ['java'],
      addresses: ['10.0.0.1'],
      listeners: [
        { address: '127.0.0.1', port: 2181, pid: 812, command: 'java -jar x.jar /a b', own: false },
        { address: '*', port: 8888, own: false },
        { address: '10.0.0.1', port: 5050, pid: 7, command: 'mesos-master', own: true },
        { address: '*', port: 80, pid: 9, command: 'nginx', own: false },
      ],
    });
  });

  it('rejects output without its facts', () => {
    expect(() => parseFacts('clock 1700000000500000000\n', 'h1', asked)).toThrow('cpus');
  });
});

describe('parseHexAddress', () => {
  it.each([
    ['0100007F', '127.0.0.1'],
    ['67061AAC', '172.26.6.103'],
    ['00000000', '*'],
    ['00000000000000000000000000000000', '*'],
    ['0000000000000000FFFF00006706A8C0', '192.168.6.103'],
    ['0000000000000000FFFF000000000000', '*'],
    ['B80D0120000000000000000001000000', undefined],
  ])('%s is %s', (hex, address) => {
    expect(parseHexAddress(hex)).toBe(address);
  });
});
