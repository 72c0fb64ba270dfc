import { randomUUID } from 'node:crypto';

/**
 * The `uuid` of a new status update: the 16 bytes of a random UUID (RFC 4122, version 4) in base64. Clients that use
 * Mesos' own library drop updates, and acknowledgements, whose bytes are not a UUID.
 */
export function updateUuid(): string {
  return Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64');
}

/** Such a `uuid` as logs print it. */
export function uuidText(uuid: string): string {
  const digits = Buffer.from(uuid, 'base64').toString('hex');
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
