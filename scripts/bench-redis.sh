#!/usr/bin/env bash
# Measures ferrum-kv against redis-server on this machine and prints tables in Markdown.
#
#     scripts/bench-redis.sh            everything, about 25 minutes
#     scripts/bench-redis.sh --quick    a first look, about 3 minutes
#     scripts/bench-redis.sh --help     what is measured, and all options
#
# Needs cargo, python3 (standard library), taskset, redis-server and redis-benchmark in PATH
# (Debian and Ubuntu: apt-get install redis-server util-linux python3). Linux only.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

for tool in cargo python3 taskset redis-server redis-benchmark; do
    if ! command -v "$tool" >/dev/null; then
        echo "bench-redis.sh: $tool is not in PATH" >&2
        exit 1
    fi
done

build=yes
for argument in "$@"; do
    case $argument in
        -h | --help | --ferrum | --ferrum=*) build=no ;;
    esac
done
if [ "$build" = yes ]; then
    (cd "$root" && cargo build --release --bin ferrum-kv)
fi

exec python3 "$root/scripts/bench_redis.py" "$@"
