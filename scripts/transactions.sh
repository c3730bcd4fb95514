#!/usr/bin/env bash
# A million random transactions of eight clients against a release build of ferrum-kv, with its log
# on and a table that grows and shrinks meanwhile, judged for strict serializability; then a bank,
# and kills under load. Some minutes.
#
#     scripts/transactions.sh                          from a seed that changes every day
#     scripts/transactions.sh TRANSACTIONS [SEED]      so many transactions, from this seed
#
# FERRUM_TRANSACTIONS_SERVER=redis tests a redis-server instead, HOST:PORT one that runs already.
# Needs cargo in PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

transactions=${1:-1000000}
# The first rounds of two days have seeds that are far apart.
seed=${2:-$(date +%Y%m%d)}

echo "seed $seed, $transactions transactions"
FERRUM_TRANSACTIONS=$transactions FERRUM_TRANSACTIONS_SEED=$seed \
    FERRUM_TRANSACTIONS_KILLS=${FERRUM_TRANSACTIONS_KILLS:-50} \
    cargo test --release --test transactions -- --nocapture --test-threads 1
