#!/usr/bin/env bash
# Kills a release build of ferrum-kv at random moments under load, 200 times under each policy of
# its log, and compares what it recovers with what its clients were told. Some minutes.
#
#     scripts/crash.sh                     from a seed that changes every day
#     scripts/crash.sh ROUNDS [SEED]       so many kills a policy, from this seed
#
# Needs cargo in PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rounds=${1:-200}
# The first rounds of two days have seeds that are far apart.
seed=${2:-$(date +%Y%m%d000)}

echo "seed $seed, $rounds kills a policy"
FERRUM_CRASH_SEED=$seed FERRUM_CRASH_ROUNDS=$rounds \
    cargo test --release --test crash rounds:: -- --nocapture
