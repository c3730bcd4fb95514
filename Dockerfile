# syntax=docker/dockerfile:1

# FerrumKV in a container:
#
#     docker build --tag ferrum-kv .
#     docker run --detach --publish 6379:6379 --volume ferrum-data:/data ferrum-kv
#
# Behind the name of the image come further options, as behind redis-server:
#
#     docker run ferrum-kv --maxmemory 1gb --maxmemory-policy allkeys-lru

FROM rust:1-slim-bookworm AS build
# For jemalloc, which is built from its source.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
COPY loom-tests loom-tests
COPY tests/clients tests/clients
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --bin ferrum-kv \
    && install -D --strip target/release/ferrum-kv /installed/ferrum-kv

FROM debian:bookworm-slim
RUN groupadd --system --gid 999 ferrum-kv \
    && useradd --system --uid 999 --gid ferrum-kv --home-dir /data --shell /usr/sbin/nologin \
        ferrum-kv \
    && install --directory --owner ferrum-kv --group ferrum-kv --mode 0750 /data
COPY --from=build /installed/ferrum-kv /usr/local/bin/ferrum-kv
COPY packaging/container.conf /etc/ferrum-kv/ferrum-kv.conf
COPY LICENSE /usr/share/doc/ferrum-kv/LICENSE

USER ferrum-kv
WORKDIR /data
VOLUME /data
EXPOSE 6379
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=30s --timeout=6s --start-period=5m --start-interval=2s \
    CMD ["ferrum-kv", "ping", "--addr", "127.0.0.1:6379"]

# What stands behind the name of the image follows the file.
ENTRYPOINT ["ferrum-kv", "/etc/ferrum-kv/ferrum-kv.conf"]
