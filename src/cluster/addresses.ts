/** An IPv4 subnet as a range of numbers, both ends included. */
export interface Subnet {
  readonly first: number;
  readonly last: number;
  readonly prefix: number;
}

const ipv4Pattern = /^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/;

export function isIpv4(text: string): boolean {
  return ipv4Pattern.test(text);
}

/** An IPv4 address as a number, to compare and count addresses. */
export function addressNumber(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** The IPv4 address of a number from 0 to 2³²−1. */
export function addressText(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

/** Parses CIDR notation, such as `192.168.0.0/24`; undefined if it is invalid or has host bits set. */
export function parseSubnet(cidr: string): Subnet | undefined {
  const [address, prefixText, ...rest] = cidr.split('/');
  if (address === undefined || prefixText === undefined || rest.length > 0) return undefined;
  if (!isIpv4(address) || !/^([0-9]|[12]\d|3[0-2])$/.test(prefixText)) return undefined;
  const prefix = Number(prefixText);
  const size = 2 ** (32 - prefix);
  const first = addressNumber(address);
  return first % size === 0 ? { first, last: first + size - 1, prefix } : undefined;
}

export function isLoopback(address: string): boolean {
  return (address.startsWith('127.') && isIpv4(address)) || /^(0*:)+:?0*1$/.test(address);
}

/** Whether it is an IPv6 address, perhaps with a zone (`fe80::1%eth0`). Code of workflows has no `node:net`. */
export function isIpv6(text: string): boolean {
  const [address = ''] = text.split('%');
  const halves = address.split('::');
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  const last = groups.at(-1);
  // An embedded IPv4 address stands at the end.
  const embedded = last !== undefined && isIpv4(last) && address.endsWith(last);
  const hex = embedded ? groups.slice(0, -1) : groups;
  const count = groups.length + (embedded ? 1 : 0);
  return (
    text.includes(':') &&
    halves.length <= 2 &&
    hex.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group)) &&
    (halves.length === 2 ? count < 8 : count === 8)
  );
}

/** Whether an IPv4 address can belong to one host: not 0.0.0.0/8, multicast, reserved or broadcast. */
export function isUnicast(address: string): boolean {
  const first = Number(address.split('.')[0]);
  return isIpv4(address) && first > 0 && first < 224;
}
