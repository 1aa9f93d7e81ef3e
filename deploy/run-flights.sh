#!/bin/sh
# Starts the cluster of docker-compose.yml, runs the flights job on it, shows its results and compares them with SQL.
#   deploy/run-flights.sh [--keep]     # --keep leaves the cluster running
# The images come from BASE_IMAGE and ETCD_IMAGE (see docker-compose.yml); where no registry can be reached, from
# deploy/make-base-image.sh. Results are copied below out/containers.
set -eu
cd "$(dirname "$0")/.."
if docker compose version >/dev/null 2>&1; then compose='docker compose'; else compose=docker-compose; fi
compose="$compose --file deploy/docker-compose.yml"
run=flights-$(date +%Y%m%d-%H%M%S)
results=out/containers/$run
keep=${1:-}
[ "$keep" = --keep ] || trap '$compose down --volumes >/dev/null 2>&1' EXIT

# Flights, and SQL to compare with.
node --input-type=module --eval "import { ensureInstalled } from './tools/install.mjs'; ensureInstalled();"
node tools/build.mjs
$compose up --detach
$compose run --rm client submit airport-delays.ts --parallelism 4 --checkpoint-interval 500ms --wait -- \
  --input /data/flights-3m.parquet --output "/var/lib/millrace/results/$run"
mkdir -p "$results"
docker cp "$($compose ps -q task-manager-1):/var/lib/millrace/results/$run/." "$results"
head -n 3 "$results"/worst-by-day/part-* | head -n 5
node dist/cluster-tests/flights/check-flights.js "$results"
