import { quote } from '../ssh/shell.js';
import { ethernetAddress, type Overlay } from './overlay.js';

/**
 * Shell function: `owned LINK` succeeds if the link has the cluster's alias. Uses shell builtins only, so
 * that no failing program makes a link look foreign.
 */
export function ownedFunction(alias: string): string {
  return `owned() {
  has_alias=''
  read -r has_alias 2>/dev/null < "/sys/class/net/$1/ifalias" || :
  [ "$has_alias" = ${quote(alias)} ]
}`;
}

/** Shell that deletes the links that are `owned`, and prints their names. */
export const deleteLinks = `
for link in /sys/class/net/*; do
  name=\${link##*/}
  owned "$name" || continue
  ip link delete "$name" || exit 1
  echo "removed the link $name"
done`.trim();

/**
 * A script that creates the links of an overlay, at boot and whenever one differs. It leaves correct parts
 * unchanged, so that containers on the bridge are not affected when only peers change. Foreign links with its
 * names are an error, except a bridge: Docker creates it if it starts before this script.
 */
export function overlayScript(overlay: Overlay): string {
  const { alias, device, bridge, vni, port, mtu, local, address, peers } = overlay;
  const words = (values: readonly string[]) => values.map(quote).join(' ');
  return `#!/bin/sh
# Written by Perijove: the VXLAN of ${JSON.stringify(alias)}. May be run again at any time.
set -eu
PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin
device=${quote(device)} bridge=${quote(bridge)}
${ownedFunction(alias)}
unknown() { echo "ip does not tell $1, so nothing is changed" >&2; exit 1; }
there() { [ -e "/sys/class/net/$1" ]; }

for link in /sys/class/net/*; do
  name=\${link##*/}
  case $name in "$device" | "$bridge") continue ;; esac
  if owned "$name"; then ip link delete "$name"; fi
done

if there "$device"; then
  owned "$device" || { echo "$device is there, and not of this cluster" >&2; exit 1; }
  has=$(ip -j -d link show dev "$device") || unknown "what $device is"
  case $has in
    '['*'"ifname":"'"$device"'"'*'"info_kind":"vxlan","info_data":{"id":${vni},"local":"${local}",'*'"port":${port},"learning":false,'*']') ;;
    '['*'"ifname":"'"$device"'"'*']') ip link delete "$device" ;;
    *) unknown "what $device is" ;;
  esac
fi
there "$device" || ip link add "$device" type vxlan id ${vni} local ${local} dstport ${port} nolearning
ip link set "$device" alias ${quote(alias)} mtu ${mtu}

if ! there "$bridge"; then
  ip link add "$bridge" type bridge
elif [ ! -d "/sys/class/net/$bridge/bridge" ]; then
  echo "$bridge is there, and is no bridge" >&2; exit 1
fi
ip link set "$bridge" alias ${quote(alias)} address ${ethernetAddress(address)} mtu ${mtu}
ip link set "$device" master "$bridge"
has=$(ip -4 -o address show dev "$bridge") || unknown "the addresses of $bridge"
[ -z "$has" ] || printf '%s\\n' "$has" | while read -r _ _ _ one rest; do
  case $one:$rest in */*:*' preferred_lft '*) ;; *) unknown "the addresses of $bridge" ;; esac
  [ "$one" = ${address} ] || ip address delete "$one" dev "$bridge"
done
ip address replace ${address} dev "$bridge"
ip link set "$device" up
ip link set "$bridge" up

# A frame for everybody, or for somebody unknown, goes to every other host.
has=$(bridge fdb show dev "$device") || unknown "the peers of $device"
has=$(printf '%s\\n' "$has" | sed -n 's/^00:00:00:00:00:00 .*dst \\([0-9.]*\\) .*permanent.*/\\1/p')
for peer in $has; do
  case ${quote(` ${peers.join(' ')} `)} in
    *" $peer "*) ;;
    *) bridge fdb delete 00:00:00:00:00:00 dev "$device" dst "$peer" ;;
  esac
done
for peer in ${words(peers)}; do
  printf '%s\\n' "$has" | grep -qxF "$peer" || bridge fdb append 00:00:00:00:00:00 dev "$device" dst "$peer"
done
`;
}

/** Prints the input of `parseOverlay`, with `complete` at the end. */
export function observeOverlayScript({ device, bridge }: Pick<Overlay, 'device' | 'bridge'>): string {
  return `( PATH="$PATH:/usr/sbin:/sbin"
for link in ${quote(device)} ${quote(bridge)}; do
  [ -e "/sys/class/net/$link" ] || continue
  printf 'link '; ip -j -d link show dev "$link" || exit
  printf 'address '; ip -j -4 address show dev "$link" || exit
done
[ ! -e ${quote(`/sys/class/net/${device}`)} ] || { printf 'fdb '; bridge -j fdb show dev ${quote(device)} || exit; }
echo complete ) 2>/dev/null`;
}
