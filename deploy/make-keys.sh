#!/bin/sh
# Makes the authorities, certificates and the token of the compose cluster, each into the volume of who needs it. Runs once, as
# the service "keys"; what is there already is left as it is.
set -eu
umask 077
directory=/var/lib/millrace
authority=$directory/authority
keys=$directory/keys
if [ -e "$authority/complete" ]; then
  echo 'keys are there already'
  exit 0
fi

# One authority for the members, another one for etcd: who may speak with etcd is no member because of that, nor the reverse.
rm -rf "$authority/cluster" "$authority/etcd"
millrace certs init --directory "$authority/cluster" --cluster compose
millrace certs init --directory "$authority/etcd" --cluster compose-etcd

# issue <authority> <role> <volume> <host>...
issue() {
  from=$authority/$1 role=$2 to=$keys/$3
  shift 3
  set -- $(for host in "$@"; do echo --host "$host"; done)
  millrace certs issue --directory "$from" --role "$role" "$@"
  install -m 0600 "$from/$role.key" "$to/$prefix$role.key"
  install -m 0644 "$from/$role.pem" "$to/$prefix$role.pem"
  install -m 0644 "$from/ca.pem" "$to/${prefix}ca.pem"
}

prefix=''
issue cluster job-manager job-manager job-manager-1 job-manager-2 localhost 127.0.0.1
issue cluster task-manager task-manager task-manager-1 task-manager-2 task-manager-3 localhost 127.0.0.1
issue cluster client client
# The server's side of etcd, and the side of the job managers.
issue etcd job-manager etcd etcd localhost 127.0.0.1
prefix=etcd-
issue etcd client job-manager

rm -f "$keys/job-manager/tokens.json"
millrace tokens create --file "$keys/job-manager/tokens.json" --name compose --role submitter >"$keys/client/token"
touch "$authority/complete"
