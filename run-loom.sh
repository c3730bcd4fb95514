cd /tmp/w-loom
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=3
export RUSTFLAGS="--cfg loom -C debug-assertions"
exec cargo test -j2 -p loom-tests --release --target-dir target/loom "$@"
