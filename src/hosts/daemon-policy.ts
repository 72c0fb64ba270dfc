/**
 * Shell functions for root. `hold_daemons` prevents daemons from starting while packages are installed
 * (Debian Policy 9.3.3.1, policy-rc.d); `release_daemons` restores the previous policy. A policy left by a
 * killed installation is recognized by its second line and never mistaken for the administrator's. The check
 * uses shell builtins only, so that no failing program can change its result.
 */
export const daemonPolicy = `
policy=/usr/sbin/policy-rc.d
saved=$policy.before-perijove
own_policy() {
  [ -f "$policy" ] || return 1
  { read -r line && read -r line; } < "$policy" || return 1
  case $line in '# perijove'*) ;; *) return 1 ;; esac
}
release_daemons() {
  rm -f "$policy.new"
  if [ -e "$saved" ] || [ -h "$saved" ]; then mv -fT "$saved" "$policy"
  elif own_policy; then rm -f "$policy"; fi
}
hold_daemons() {
  release_daemons || return 1
  if [ -e "$policy" ] || [ -h "$policy" ]; then mv -T "$policy" "$saved" || return 1; fi
  printf '#!/bin/sh\\n# perijove lab, perijove up: no daemon is started while packages are installed\\nexit 101\\n' > "$policy.new" &&
  chmod 755 "$policy.new" && mv -fT "$policy.new" "$policy"
}`.trim();
