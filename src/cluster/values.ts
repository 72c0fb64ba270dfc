/**
 * What a path, a name, an address or another value of the spec may be: the only definition. `schema.ts` says
 * which key has which.
 *
 * Each kind has one text for what it expects; the loader adds what it found, and refuses invisible characters in
 * all of them (`characters.ts`). Values that reach a host are either of characters that mean nothing to shells,
 * unit files and the programs' own files, or free text, which is quoted (`quote` in `ssh/shell.ts`).
 */
import * as z from 'zod';
import { addressText, isIpv6, isUnicast, parseSubnet } from './addresses.js';
import { durationPattern, sizePattern } from './units.js';

const text = (kind: string, expected: string, pattern: RegExp) =>
  z.string({ error: expected }).regex(pattern, { error: expected }).meta({ kind });
const whole = (kind: string, from: number, to: number) => {
  const error = `a ${kind} from ${from} to ${to}`;
  return z.int({ error }).min(from, { error }).max(to, { error }).meta({ kind });
};
export const oneOf = <const T extends readonly [string, ...string[]]>(...values: T) => {
  const quoted = values.map((value) => `\`${value}\``);
  const error = values.length === 1 ? `${quoted[0]}` : `one of ${values.join(', ')}`;
  return z.enum(values, { error }).meta({ kind: quoted.join(', ') });
};

export const word = text('word', 'text of letters, digits, `.`, `_` and `-`', /^[A-Za-z0-9][A-Za-z0-9._-]*$/);
export const line = text('text', 'a single line of text', /^\S.*$/);
export const name = text(
  'name',
  'a name of at most 40 lower-case letters, digits and `-`',
  /^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/,
);
export const ipv4 = z.ipv4({ error: 'an IPv4 address, such as 172.16.6.103' }).meta({ kind: 'IPv4 address' });
export const hostIpv4 = z
  .ipv4({ error: 'an IPv4 address, such as 172.16.6.103' })
  .refine(isUnicast, { error: 'the IPv4 address of one host, such as 172.16.6.103' })
  .meta({ kind: 'IPv4 address' });
export const reachable = z
  .string({ error: 'an IP address or a host name' })
  .regex(/^[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$/, { error: 'an IP address or a host name' })
  .refine((address) => !/^[\d.]+$/.test(address) || isUnicast(address), {
    error: 'the IP address of one host, or a host name',
  })
  .meta({ kind: 'address' });
/** What SSH connects to: IPv6 too (with a zone, such as `fe80::1%eth0`), and aliases of ssh_config. */
export const sshAddress = z
  .string({ error: 'an IP address or a host name' })
  .regex(/^([A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9._-]+)?)$/, {
    error: 'an IP address (IPv6 without brackets) or a host name',
  })
  .refine((address) => !/^[\d.]+$/.test(address) || isUnicast(address), {
    error: 'the IP address of one host, or a host name',
  })
  .refine((address) => !address.includes(':') || isIpv6(address), {
    error: 'an IPv6 address without brackets or port, such as 2001:db8::7 (the port is `port`)',
  })
  .meta({ kind: 'address' });
export const port = whole('port', 1, 65535);
export const count = (from: number, to: number) => whole('whole number', from, to);
export const duration = text(
  'duration',
  'a duration with its unit, such as 500ms, 2s or 1w',
  durationPattern,
);
export const durationOrNever = text(
  'duration, `never`',
  'a duration with its unit, such as 5m, or `never`',
  new RegExp(`^never$|${durationPattern.source}`),
);
export const size = text('size', 'a size with its unit, such as 512MiB', sizePattern);
export const flag = z.boolean({ error: '`true` or `false`' }).meta({ kind: '`true`, `false`' });
const publicKeyText =
  'an OpenSSH public key of the type ssh-ed25519, ecdsa-sha2-nistp256, -nistp384, -nistp521 or ssh-rsa';
/** Whether it is `TYPE BASE64 …`, and the key is one of that type (RFC 4253, 6.6). */
function isPublicKey(text: string): boolean {
  const [, type, base64] =
    /^(ssh-ed25519|ecdsa-sha2-nistp(?:256|384|521)|ssh-rsa) ([A-Za-z0-9+/]+={0,2})(?: .*)?$/.exec(text) ?? [];
  if (type === undefined || base64 === undefined) return false;
  const key = Buffer.from(base64, 'base64');
  const start = Buffer.concat([Buffer.from([0, 0, 0, type.length]), Buffer.from(type)]);
  // 32 bytes and their length are the shortest key.
  return key.length >= start.length + 36 && key.subarray(0, start.length).equals(start);
}
/** Refuses characters that are special in shells, unit files, zoo.cfg or Docker options instead of quoting them. */
export const hostPath = text(
  'path on hosts',
  'an absolute path of letters, digits and `._+@~-`, such as /opt/perijove',
  /^(?:\/(?!\.\.?(?:\/|$))[\p{L}\p{M}\p{N}._+@~-]+)+\/?$/u,
);
/** ZooKeeper reads its configuration as Latin-1, and Java opens non-ASCII paths only in a UTF-8 locale. */
export const asciiPath = text(
  'path on hosts',
  'an absolute path of unaccented letters, digits and `._+@~-`, such as /opt/perijove',
  /^(?:\/(?!\.\.?(?:\/|$))[A-Za-z0-9._+@~-]+)+\/?$/,
);
export const localPath = text('local path', 'a path on this machine', /^\S.*$/);
/** A line as `ssh-keyscan` or a `.pub` file has it, without the name of the host. A comment may follow. */
export const hostKey = z
  .string({ error: publicKeyText })
  .refine(isPublicKey, { error: publicKeyText })
  .meta({ kind: 'public key' });
export const executable = text(
  'program',
  'the name of a program on PATH, or its absolute path',
  /^(?:[A-Za-z0-9][A-Za-z0-9._-]*|(?:\/(?!\.\.?(?:\/|$))[\p{L}\p{M}\p{N}._+@~-]+)+)$/u,
);
export const image = text('image', 'the name of an image', /^[a-z0-9][\w./:@-]*$/);
export const subnet = z
  .string({ error: 'a subnet, such as 192.168.0.0/24' })
  .regex(/^[\d.]+\/\d+$/, { error: 'a subnet, such as 192.168.0.0/24' })
  .refine((cidr) => parseSubnet(cidr) !== undefined, {
    error: 'a subnet without host bits, such as 192.168.0.0/24',
  })
  .refine(
    (cidr) => {
      const { first, last } = parseSubnet(cidr) ?? {};
      return first === undefined || last === undefined || [first, last].map(addressText).every(isUnicast);
    },
    { error: 'a subnet of addresses that hosts can have, such as 192.168.0.0/24' },
  )
  .meta({ kind: 'subnet' });
export const zkPath = text('path', 'a path in ZooKeeper, such as /mesos', /^(\/[A-Za-z0-9._-]+)+$/);
export const debianPackage = text('package', 'the name of a Debian package', /^[a-z0-9][a-z0-9+.-]*$/);
export const debianVersion = text(
  'version',
  'the version of a Debian package, such as 1.11.0-0.9.0',
  /^[0-9][A-Za-z0-9.+~:-]*$/,
);
export const aptUrl = text(
  'URL',
  'an http, https or file URL without quotes',
  /^(https?:\/\/[^\s"'\\]+|file:\/[^\s"'\\]+)$/,
);
export const suite = text(
  'suite',
  'the name of a suite, such as bookworm',
  /^[A-Za-z0-9][A-Za-z0-9.+~_-]*(\/[A-Za-z0-9.+~_-]+)*$/,
);
export const fingerprint = text(
  'fingerprint',
  'the fingerprint of an OpenPGP key: 40 or 64 hexadecimal digits, with or without spaces',
  /^(?:(?:[0-9A-Fa-f] *){40}|(?:[0-9A-Fa-f] *){64})$/,
);
export const openPgpKey = text(
  'public key',
  'an ASCII-armored OpenPGP public key (`-----BEGIN PGP PUBLIC KEY BLOCK-----` and what follows)',
  /^\s*-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n[\s\S]+-----END PGP PUBLIC KEY BLOCK-----\s*$/,
);
export const url = text('URL', 'an http, https or file URL', /^(https?|file):\/\/\S+$/);
export const sha256 = text('SHA-256', '64 hexadecimal digits', /^[0-9a-f]{64}$/);
export const flagName = text(
  'flag',
  'the name of a flag, without dashes, such as work_dir',
  /^[a-z][a-z0-9_]*$/,
);
export const mesosRole = text('role', 'a Mesos role', /^(\*|[A-Za-z0-9_][A-Za-z0-9_./-]*)$/);
export const linkName = text(
  'link name',
  'text of at most 15 letters, digits, `.`, `_` and `-`',
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$/,
);
/** Any text: it is quoted wherever it goes. */
export const flagValue = z.union([z.string(), z.number(), z.boolean()], {
  error: 'text, a number, `true` or `false`',
});
