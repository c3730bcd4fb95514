#!/usr/bin/env python3
"""What it costs to make room, and what is kept, against redis-server in the same run.

    scripts/bench_eviction.py [--ferrum PATH] [--sections cpu,hits] [--quick]
                              [--traces FILE,FILE] [--requests N] [--kilobytes N,N]

Sections:
* cpu   CPU of a SET of a new key (16 bytes, value of 32) at pipeline 16 with the memory used up, so
        that every SET evicts a key; for each policy against the same one of redis-server, ours of
        its own (allkeys-ahe) against both allkeys-lru and allkeys-lfu. The server has one core and
        one worker, the load generator (redis-benchmark, 50 connections) the other core. Also how
        many keys are held in the same memory, and how many went for each SET: samples must
        be so long that it is about one, since some of the work is done in larger pieces
* hits  share of hits when traces are replayed, read-through (a miss is followed by a SET), from an
        empty cache, with so many kilobytes of `maxmemory` for either server; values of 500 bytes. A
        SET that is refused for want of memory stores nothing

Servers are started afresh for each round and take turns at being first; ratios are taken within a
round, the tables show medians and ranges (see bench_redis.py, whose measuring this uses). Traces
are files of one decimal key a line, plain or compressed with zstd; GETs are sent in batches of
different keys, all SETs of a batch after it, to both servers alike. Redis tells idle times in whole
seconds: a trace of an hour that is replayed in a few seconds says little about its LRU. Prints
Markdown.
"""
import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import bench_redis
from bench_redis import FERRUM, REDIS, ROOT, Connection, Server, note, print_table

MAX_MEMORY = "100mb"
# Far more keys than there is room for: each SET brings a new one.
KEY_RANGE = 2_000_000_000
PIPELINE = 16
# Ours first. The learned policy has no counterpart: it is compared with both of its kind.
PAIRS = [
    ("allkeys-lru", "allkeys-lru"),
    ("allkeys-lfu", "allkeys-lfu"),
    ("allkeys-random", "allkeys-random"),
    ("allkeys-ahe", "allkeys-lru"),
    ("allkeys-ahe", "allkeys-lfu"),
]
POLICIES = ["allkeys-lru", "allkeys-lfu", "allkeys-random", "allkeys-ahe"]
# Keys that GETs are sent for at once.
BATCH = 50
# So large that a table's share of the memory matters little.
TRACE_VALUE = b"v" * 500


def command(*words):
    """One command in RESP."""
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
    return b"".join(parts)


class Client(Connection):
    """A client that reads replies."""

    def __init__(self, port):
        super().__init__(port)
        self.file = self.socket.makefile("rb", buffering=1 << 18)

    def reply(self):
        line = self.file.readline()
        if line[:1] == b"$" and line != b"$-1\r\n":
            return self.file.read(int(line[1:]) + 2)[:-2]
        if line.startswith(b"-OOM"):
            return None
        if line[:1] == b"-" or not line:
            raise RuntimeError(f"unexpected reply: {line!r}")
        return None if line == b"$-1\r\n" else line[:-2]

    def ask(self, *words):
        self.socket.sendall(command(*(str(word).encode() for word in words)))
        return self.reply()

    def info(self, field):
        for line in self.ask("INFO").decode().splitlines():
            if line.startswith(field + ":"):
                return int(line.split(":")[1])
        raise RuntimeError(f"no {field} in INFO")

    def keys(self):
        return int(self.ask("DBSIZE")[1:])


class Bounded(Server):
    """A server with a bound for its memory, which `load` uses up and then some."""

    def load(self, _command, _keys):
        client = Client(self.port)
        number = 0
        # Well beyond the first victim: what a victim leaves behind is cleaned away now and then.
        while number == 0 or client.info("evicted_keys") < client.keys():
            # Not the names that the load generator makes.
            client.set_all(b"old:", range(number, number + 5000), b"x" * bench_redis.VALUE_BYTES)
            number += 5000
            if number > 10_000_000:
                raise RuntimeError(f"{self.name} evicts nothing")
        client.close()


def bounded(options, name, policy, cores):
    if name == REDIS:
        server = bench_redis.redis(options, cores)
    else:
        server = bench_redis.ferrum(options, cores, 1)
    bound = ["--maxmemory", MAX_MEMORY, "--maxmemory-policy", policy]
    return Bounded(f"{name} {policy}", server.command + bound, cores, server.port)


def version(program):
    return bench_redis.first_line(program, "--version").split(" sha")[0]


# ---------------------------------------------------------------------------- cpu


@dataclass
class Held:
    """What the memory held after the samples of a server."""

    keys: int
    evicted_share: float  # of the SETs


def cpu(options):
    server_core, generator_core = options.cores[:1], options.cores[1:]
    rows, held = [], {}
    for ours, theirs in options.pairs:
        note(f"{FERRUM} {ours} against {REDIS} {theirs}")
        rounds = []
        for number in range(options.rounds):
            with contextlib.ExitStack() as stack:
                servers = []
                for name, policy in ((REDIS, theirs), (FERRUM, ours)):
                    server = stack.enter_context(bounded(options, name, policy, server_core))
                    server.load("set", 0)
                    servers.append(server)
                samples = [None, None]
                for index in (0, 1) if number % 2 == 0 else (1, 0):
                    samples[index] = sample(options, servers[index], generator_core, held)
                rounds.append(samples)
                note(f"  round {number + 1}: "
                     + ", ".join(f"{one.microseconds:.3f} µs" for one in samples))
        first, second = zip(*rounds)
        ratio, least, greatest = bench_redis.ratios(rounds, "microseconds")
        rows.append([
            ours, theirs, f"{bench_redis.median_of(second, 'microseconds'):.3f}",
            f"{bench_redis.median_of(first, 'microseconds'):.3f}",
            f"**{ratio:.2f}** ({least:.2f}-{greatest:.2f})",
        ])
    print(f"### CPU of a SET that evicts, pipeline {PIPELINE}, {MAX_MEMORY}\n")
    print_table([f"{FERRUM}", f"{REDIS}", "ours, µs", "theirs, µs", "ratio (range)"],
                rows)
    print(f"### Keys held in {MAX_MEMORY}\n")
    print_table(["server", "keys", "evicted for each SET"], [
        [name, f"{statistics.median(one.keys for one in all_held):,.0f}",
         f"{statistics.median(one.evicted_share for one in all_held):.3f}"]
        for name, all_held in held.items()])


def sample(options, server, cores, held):
    client = Client(server.port)
    before = [client.info(field) for field in ("evicted_keys", "total_commands_processed")]
    result = bench_redis.measure(options, server, "set", PIPELINE, KEY_RANGE, cores)
    after = [client.info(field) for field in ("evicted_keys", "total_commands_processed")]
    evicted, commands = (b - a for a, b in zip(before, after))
    held.setdefault(server.name, []).append(Held(client.keys(), evicted / commands))
    client.close()
    return result


# ---------------------------------------------------------------------------- hits


def read_trace(path, requests):
    """The first requests of a trace, as keys."""
    if path.endswith(".zst"):
        reader = subprocess.Popen(["zstd", "-dc", path], stdout=subprocess.PIPE)
        lines = reader.stdout
    else:
        reader, lines = None, open(path, "rb")
    keys = []
    for line in lines:
        keys.append(b"key:%012d" % int(line))
        if len(keys) == requests:
            break
    lines.close()
    if reader:
        reader.wait()
    return keys


def batches(keys):
    """The requests in order, in batches of different keys."""
    batch, seen = [], set()
    for key in keys:
        if key in seen or len(batch) == BATCH:
            yield batch
            batch, seen = [], set()
        batch.append(key)
        seen.add(key)
    if batch:
        yield batch


def replay(client, keys):
    """The share of hits in percent."""
    hits = 0
    for batch in batches(keys):
        client.socket.sendall(b"".join([command(b"GET", key) for key in batch]))
        missed = [key for key in batch if client.reply() is None]
        hits += len(batch) - len(missed)
        if missed:
            sets = [command(b"SET", key, TRACE_VALUE) for key in missed]
            client.socket.sendall(b"".join(sets))
            for _ in missed:
                client.reply()
    return hits * 100 / len(keys)


def hits(options):
    columns = [(FERRUM, policy) for policy in POLICIES]
    columns += [(REDIS, policy) for policy in POLICIES[:3]]
    columns = [column for column in columns if column[0] in options.servers]
    rows, sums = [], [0.0] * len(columns)
    for path in options.traces:
        keys = read_trace(path, options.requests)
        trace = Path(path).name.split(".")[0]
        for kilobytes in options.kilobytes:
            ratios, sizes = [], []
            for name, policy in columns:
                core = options.cores[:1]
                server = (bench_redis.redis(options, core) if name == REDIS
                          else bench_redis.ferrum(options, core, 1))
                with server as one:
                    client = Client(one.port)
                    client.ask("CONFIG", "SET", "maxmemory-policy", policy)
                    client.ask("CONFIG", "SET", "maxmemory", kilobytes * 1024)
                    begin = time.monotonic()
                    ratios.append(replay(client, keys))
                    sizes.append(client.keys())
                    note(f"  {trace}, {kilobytes} KiB, {name} {policy}: {ratios[-1]:.2f} %, "
                         f"{sizes[-1]} keys, {time.monotonic() - begin:.1f} s")
                    client.close()
            sums = [a + b for a, b in zip(sums, ratios)]
            cells = [f"{ratio:.2f} ({size:,})" for ratio, size in zip(ratios, sizes)]
            rows.append([trace, f"{len(keys):,}", f"{kilobytes:,}", *cells])
    print("### Share of hits in % (keys held at the end)\n")
    header = ["trace", "requests", "maxmemory (KiB)", *(f"{name} {policy}" for name, policy in columns)]
    rows.append(["mean", "", "", *(f"**{total / len(rows):.2f}**" for total in sums)])
    print_table(header, rows)


# ---------------------------------------------------------------------------- all


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--quick", action="store_true", help="2 short rounds, short traces: a first look")
    add("--sections", default="cpu,hits")
    add("--servers", default=f"{FERRUM},{REDIS}", help="of the section hits")
    add("--policies", help="of ours, in the section cpu; default all")
    add("--traces", default="", help="files, comma-separated; without them there are no hits")
    add("--requests", type=int, help="of a trace, at most: 50,000 with --quick, 500,000 without")
    add("--kilobytes", default="4096,16384", help="of maxmemory, comma-separated")
    add("--rounds", type=int, help="2 with --quick, 5 without")
    add("--seconds", type=float, help="of a sample: 2 with --quick, 5 without")
    add("--cores", help="the two cores to use, default the first two allowed")
    add("--port", type=int, default=24100, help="first port to try, default 24100")
    add("--ferrum", default=str(ROOT / "target/release/ferrum-kv"))
    add("--redis", default="redis-server")
    add("--benchmark", default="redis-benchmark")
    options = parser.parse_args()
    options.requests = options.requests or (50_000 if options.quick else 500_000)
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.seconds = options.seconds or (2.0 if options.quick else 5.0)
    options.kilobytes = bench_redis.numbers(options.kilobytes)
    options.traces = [path for path in options.traces.split(",") if path]
    options.servers = options.servers.split(",")
    options.pairs = [pair for pair in PAIRS
                     if not options.policies or pair[0] in options.policies.split(",")]
    options.cores = (bench_redis.numbers(options.cores) if options.cores
                     else sorted(os.sched_getaffinity(0))[:2])
    options.ferrum = str(Path(options.ferrum).resolve())
    if len(options.cores) < 2:
        parser.error("two cores are needed")
    return options


def main():
    options = parse_options()
    print("## Eviction: ferrum-kv against redis-server\n")
    print(f"{time.strftime('%Y-%m-%d')}, {bench_redis.processor_name()}, {os.cpu_count()} cores, "
          f"Linux {os.uname().release}; {version(options.redis)}; {version(options.ferrum)}; "
          f"{options.rounds} rounds of {options.seconds:g} s samples.\n", flush=True)
    sections = options.sections.split(",")
    if "cpu" in sections:
        cpu(options)
    if "hits" in sections and options.traces:
        hits(options)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
