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
  return address.startsWith('127.') && isIpv4(address);
}

/** Whether an IPv4 address can belong to one host: not 0.0.0.0/8, multicast, reserved or broadcast. */
export function isUnicast(address: string): boolean {
  const first = Number(address.split('.')[0]);
  return isIpv4(address) && first > 0 && first < 224;
}
