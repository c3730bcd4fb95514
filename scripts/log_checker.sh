#!/usr/bin/env bash
# Millions of operations on few keys by a release build of ferrum-kv: its log must lead to what it
# has in memory, and explain what its clients saw. Some minutes.
#
#     scripts/log_checker.sh                        from a seed that changes every day
#     scripts/log_checker.sh OPERATIONS [SEED]      so many operations, from this seed
#
# Needs cargo in PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

operations=${1:-10000000}
seed=${2:-$(date +%Y%m%d)}

echo "seed $seed, $operations operations"
FERRUM_LOG_SEED=$seed FERRUM_LOG_OPERATIONS=$operations FERRUM_LOG_ROUNDS=30 \
    cargo test --release --test log_checker -- --nocapture --test-threads 2
