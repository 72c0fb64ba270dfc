/**
 * For the `sh` of a throw-away copy of this machine: an empty package database, a local repository, and
 * functions that add packages. `make NAME` starts one, with its files below /package/NAME; `daemon NAME
 * SERVICE` adds a service that it starts and enables automatically, as Debian's packages do, and that leaves
 * /started; `build NAME [sums]` comes last; with `sums` it has a list of its files, as most packages do.
 * `starts_at_boot SERVICE` tests whether it is enabled.
 */
export const debianPackages = `
rm -rf /var/lib/dpkg /etc/apt/sources.list /etc/apt/sources.list.d /var/lib/apt/lists /usr/sbin/policy-rc.d
mkdir -p /var/lib/dpkg/info /var/lib/dpkg/updates /var/lib/dpkg/triggers /var/lib/apt/lists /repo
touch /var/lib/dpkg/status
rm -f /sbin/runlevel; printf '#!/bin/sh\\necho N 2\\n' > /sbin/runlevel; chmod 755 /sbin/runlevel
echo 'deb [trusted=yes] file:/repo ./' > /etc/apt/sources.list
make() {
  mkdir -p "/package/$1/DEBIAN"
  printf 'Package: %s\\nVersion: 1.3.2\\nArchitecture: all\\nMaintainer: nobody <nobody@example.org>\\nDescription: test\\n' "$1" > "/package/$1/DEBIAN/control"
}
daemon() {
  mkdir -p "/package/$1/etc/init.d"
  cat > "/package/$1/etc/init.d/$2" <<END
#!/bin/sh
### BEGIN INIT INFO
# Provides: $2
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
### END INIT INFO
[ "\\$1" != start ] || touch /started
END
  printf '#!/bin/sh\\nset -e\\nupdate-rc.d %s defaults\\ninvoke-rc.d %s start\\n' "$2" "$2" > "/package/$1/DEBIAN/postinst"
  chmod 755 "/package/$1/etc/init.d/$2" "/package/$1/DEBIAN/postinst"
}
build() {
  if [ "\${2-}" = sums ]; then
    (cd "/package/$1" && find . -type f ! -path './DEBIAN/*' -printf '%P\\n' | xargs md5sum > DEBIAN/md5sums)
  fi
  dpkg-deb --build "/package/$1" "/repo/$1.deb" >/dev/null
  { dpkg-deb --field "/repo/$1.deb"; echo "Filename: ./$1.deb"; echo "Size: $(stat -c %s "/repo/$1.deb")"
    echo "SHA256: $(sha256sum "/repo/$1.deb" | cut -d' ' -f1)"; echo; } >> /repo/Packages
}
starts_at_boot() { ls /etc/rc2.d/S??"$1" >/dev/null 2>&1; }
`;
