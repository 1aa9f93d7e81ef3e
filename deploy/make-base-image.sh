#!/bin/sh
# Makes the images that deploy/ builds on, from Debian packages and this machine's own Node: for machines where no registry of
# images can be reached. Needs root, docker, debootstrap, and etcd-server for etcd. Elsewhere use the official images.
#   deploy/make-base-image.sh            # millrace-base:local and millrace-etcd:local
#   export BASE_IMAGE=millrace-base:local ETCD_IMAGE=millrace-etcd:local
# Reads: DEBIAN_MIRROR (default: the first one of this machine's apt), DEBIAN_SUITE (default bookworm).
set -eu
suite=${DEBIAN_SUITE:-bookworm}
mirror=${DEBIAN_MIRROR:-$(
  cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null |
    awk '/^URIs:/ { print $2; exit } /^deb / { for (i = 2; i <= NF; i++) if ($i ~ /^[a-z]+:\/\//) { print $i; exit } }'
)}
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT

debootstrap --variant=minbase --include=ca-certificates,libstdc++6 "$suite" "$work/root" "$mirror" >"$work/log" 2>&1 || {
  tail -n 20 "$work/log" >&2
  exit 1
}
rm -rf "$work/root/var/cache/apt" "$work/root/var/lib/apt/lists" "$work/root/usr/share/locale" "$work/root/usr/share/man" \
  "$work/root/usr/share/doc" "$work/root/var/log/"*
# Where packages came from is a matter of this machine.
rm -f "$work/root/etc/apt/sources.list" "$work/root/etc/hostname" "$work/root/etc/resolv.conf"
# What this machine trusts: npm may be reached through a proxy with an authority of its own.
install -D -m 0644 /etc/ssl/certs/ca-certificates.crt "$work/root/etc/ssl/certs/ca-certificates.crt"

cp --recursive "$work/root" "$work/etcd"
install -m 0755 "$(readlink -f "$(command -v node)")" "$work/root/usr/local/bin/node"
mkdir -p "$work/root/usr/local/lib/node_modules"
cp --recursive "$(npm root --global)/npm" "$work/root/usr/local/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/root/usr/local/bin/npm"
chroot "$work/root" node --version
tar --create --directory "$work/root" . | docker import \
  --change 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' --change 'CMD ["node"]' - millrace-base:local

if command -v etcd >/dev/null; then
  install -m 0755 "$(command -v etcd)" "$(command -v etcdctl)" "$work/etcd/usr/local/bin/"
  chroot "$work/etcd" etcd --version
  tar --create --directory "$work/etcd" . | docker import --change 'CMD ["etcd"]' - millrace-etcd:local
else
  echo 'no etcd on this machine: install etcd-server and etcd-client, or set ETCD_IMAGE' >&2
fi
