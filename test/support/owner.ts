/**
 * The owner's content on a server before Perijove: some of each kind that an installation could break. All of
 * it is restored at boot, except the firewall rules (a bare server has no program for them).
 */
export const ownerScript = `
set -e
useradd --create-home --shell /bin/sh owner
printf '%s\\n' '17 3 * * * root true' > /etc/cron.d/owner
mkdir -p /var/spool/cron/crontabs && printf '%s\\n' '18 3 * * * true' > /var/spool/cron/crontabs/owner
printf '%s\\n' 'net.ipv4.ip_default_ttl = 64' > /etc/sysctl.d/owner.conf
mkdir -p /opt/owner /srv/owner /var/lib/owner /usr/local/etc/owner
for directory in /opt/owner /srv/owner /var/lib/owner /usr/local/etc/owner /root; do echo mine > $directory/mine; done
cd /etc/systemd/system
cat > owner.service <<'UNIT'
[Service]
Type=exec
ExecStartPre=ip route replace unreachable 198.51.100.0/24 metric 7
ExecStartPre=ip link add owner type bridge
ExecStart=sleep infinity
ExecStopPost=ip link delete owner
[Install]
WantedBy=multi-user.target
UNIT
cat > owner.socket <<'UNIT'
[Socket]
ListenStream=127.0.0.1:7007
Accept=yes
[Install]
WantedBy=sockets.target
UNIT
cat > owner@.service <<'UNIT'
[Service]
ExecStart=true
UNIT
cat > owner-job.timer <<'UNIT'
[Timer]
OnCalendar=yearly
[Install]
WantedBy=timers.target
UNIT
cat > owner-job.service <<'UNIT'
[Service]
Type=oneshot
ExecStart=true
UNIT
cat > mnt.mount <<'UNIT'
[Mount]
What=owner
Where=/mnt
Type=tmpfs
[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --now owner.service owner.socket owner-job.timer mnt.mount`.trim();

/** Arguments of `iptables`, for each of the owner's rules. */
export const ownerRules = [
  ['-A', 'INPUT', '-s', '198.51.100.7/32', '-j', 'DROP'],
  ['-A', 'FORWARD', '-d', '198.51.100.8/32', '-j', 'REJECT'],
  ['-t', 'nat', '-A', 'POSTROUTING', '-d', '198.51.100.9/32', '-j', 'ACCEPT'],
] as const;
