import { createHash, timingSafeEqual } from 'node:crypto';

/** Compares digests of a fixed length, so that the time of the comparison reveals nothing. */
export function isSameSecret(one: string, other: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}
