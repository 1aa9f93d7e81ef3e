#!/bin/sh
# Makes the authorities, certificates and the token of the compose cluster, each into the volume of who needs it. Runs as the service
# "keys" whenever the cluster is started; what is there already is left as it is, unless it is told to "rotate":
#   docker-compose --file deploy/docker-compose.yml run --rm keys rotate
set -eu
umask 077
directory=/var/lib/millrace
authority=$directory/authority
keys=$directory/keys

# hand_out <authority> <role> <volume> [<prefix>]: running processes look at their files every second.
hand_out() {
  for file in "$2.key" "$2.pem" ca.pem; do
    mode=0644
    [ "$file" != "$2.key" ] || mode=0600
    install -m "$mode" "$authority/$1/$file" "$keys/$3/${4:-}$file.new"
    mv "$keys/$3/${4:-}$file.new" "$keys/$3/${4:-}$file"
  done
}

hand_out_all() {
  hand_out cluster job-manager job-manager
  hand_out cluster task-manager task-manager
  hand_out cluster client client
  # The server's side of etcd, and the side of the job managers.
  hand_out etcd job-manager etcd
  hand_out etcd client job-manager etcd-
}

if [ -e "$authority/complete" ]; then
  if [ "${1:-}" != rotate ]; then
    echo 'keys are there already'
    exit 0
  fi
  millrace certs rotate --directory "$authority/cluster"
  millrace certs rotate --directory "$authority/etcd"
  hand_out_all
  exit 0
fi

# One authority for the members, another one for etcd: who may speak with etcd is no member because of that, nor the reverse.
rm -rf "$authority/cluster" "$authority/etcd"
millrace certs init --directory "$authority/cluster" --cluster compose
millrace certs init --directory "$authority/etcd" --cluster compose-etcd

# issue <authority> <role> [<host>...]
issue() {
  from=$authority/$1 role=$2
  shift 2
  set -- $(for host in "$@"; do echo --host "$host"; done)
  millrace certs issue --directory "$from" --role "$role" "$@"
}

issue cluster job-manager job-manager-1 job-manager-2 localhost 127.0.0.1
issue cluster task-manager task-manager-1 task-manager-2 task-manager-3 localhost 127.0.0.1
issue cluster client
issue etcd job-manager etcd localhost 127.0.0.1
issue etcd client
hand_out_all

rm -f "$keys/job-manager/tokens.json"
millrace tokens create --file "$keys/job-manager/tokens.json" --name compose --role submitter >"$keys/client/token"
touch "$authority/complete"
