import { createHash } from 'node:crypto';
import { quote } from '../ssh/shell.js';

export function sha256OfText(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/**
 * Shell functions: `checksum FILE` prints the SHA-256 of a file, or `absent`; `remember FILE SHA256` caches
 * it for the next `checksum`. A file of 1 MiB or more is hashed again only if its size, inode or change time
 * differs: the Node.js binary has 100 MB, which takes half a second.
 */
export function checksumFunctions(runDir: string): string {
  return `
checksum_cache() { printf '%s/%s' ${quote(`${runDir}/checksums`)} "$(printf '%s' "$1" | tr / _)"; }
remember() {
  [ "\${#2}" = 64 ] && state=$(stat -Lc '%s %i %z' -- "$1") && [ -n "$state" ] &&
  mkdir -p ${quote(`${runDir}/checksums`)} && cache=$(checksum_cache "$1") &&
  printf '%s\\n%s\\n' "$state" "$2" > "$cache.$$" && mv -f "$cache.$$" "$cache"
}
checksum() {
  [ -f "$1" ] || { echo absent; return; }
  if [ "$(stat -Lc %s -- "$1")" -lt 1048576 ]; then sha256sum < "$1" | cut -c1-64; return; fi
  cache=$(checksum_cache "$1")
  if [ -f "$cache" ] && { read -r before && read -r sum; } < "$cache" && [ "\${#sum}" = 64 ] &&
    [ "$before" = "$(stat -Lc '%s %i %z' -- "$1")" ]; then echo "$sum"; return; fi
  sum=$(sha256sum < "$1" | cut -c1-64)
  remember "$1" "$sum" 2>/dev/null || rm -f "$cache.$$"
  echo "$sum"
}
`.trim();
}
