#!/usr/bin/env bash
# A million random commands, answered by redis-server and by a release build of ferrum-kv: every
# reply must be the same. Some minutes, most of them for the build.
#
#     scripts/differential.sh                     from a seed that changes every day
#     scripts/differential.sh SEED [COMMANDS]     from this seed, so many commands
#
# Needs cargo and redis-server 7.0 in PATH (Debian and Ubuntu: apt-get install redis-server).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The first rounds of two days have seeds that are far apart.
seed=${1:-$(date +%Y%m%d000)}
commands=${2:-1000000}

echo "seed $seed, $commands commands"
FERRUM_DIFFERENTIAL_SEED=$seed FERRUM_DIFFERENTIAL_COMMANDS=$commands \
    cargo test --release --test differential random_commands -- --nocapture
