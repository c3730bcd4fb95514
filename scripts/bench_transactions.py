#!/usr/bin/env python3
"""What many keys at one instant cost, against redis-server in the same run.

    scripts/bench_transactions.py [--server PATH] [--servers NAMES] [--sections mset,limiter,watch]
                                  [--policy everysec] [--rounds N] [--short]

Sections:
* mset     CPU of MSET and MGET of ten keys at pipeline 16, against ten SETs and ten GETs: in
           packets of as many keys (pipeline 160), and at pipeline 16; 100,000 keys
* limiter  CPU of one MULTI, INCR k, EXPIRE k 60, EXEC; 1 or 16 of them sent at once, on 100,000
           keys and on one
* watch    clients that all want one key, free on all cores: WATCH and GET, then MULTI, SET, EXEC
           until it succeeds; and MULTI, two INCRs, EXEC without WATCH. Commits a second, aborts
           for each, how long a commit takes with all its attempts, and what the slowest client got

In the first two, server and load generator share one core, and ours has one worker: neither sleeps
while the other works, so the figures repeat best. CPU is the server process's own, all threads,
from the kernel's clock of the process. Servers are started afresh for each round and take turns at
being first; ratios are taken within a round. In `watch` the key's last value must be the sum of
all commits. With --policy both servers keep a log. The load generator is benches/load, which this
builds. Prints Markdown; figures of several rounds are medians, with the range.
"""
import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OURS, REDIS = "ferrum-kv", "redis-server"
KEYS = 100_000
VALUE = b"v" * 32


def command(*words):
    """One command in RESP."""
    encoded = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    parts = [b"*%d\r\n" % len(encoded)]
    parts += [b"$%d\r\n%s\r\n" % (len(w), w) for w in encoded]
    return b"".join(parts)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def on_cores(cores, arguments):
    return ["taskset", "-c", ",".join(map(str, cores)), *arguments]


class Server:
    """A server on some cores; ours has a worker for each core."""

    def __init__(self, options, name, cores):
        self.name, self.port, self.options, self.cores = name, free_port(), options, cores
        self.folder = tempfile.mkdtemp(prefix="bench-transactions-", dir=options.folder)
        if name == OURS:
            arguments = [options.server, "--addr", f"127.0.0.1:{self.port}", "--io-threads",
                         str(len(cores)), "--loglevel", "warning"]
            if options.policy:
                arguments += ["--aof-path", os.path.join(self.folder, "appendonly.aof")]
        else:
            arguments = [REDIS, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                         "--appendonly", "yes" if options.policy else "no", "--dir", self.folder]
        if options.policy:
            arguments += ["--appendfsync", options.policy, "--auto-aof-rewrite-percentage", "0"]
        self.process = subprocess.Popen(
            on_cores(cores, arguments), cwd=self.folder, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        while True:
            if self.process.poll() is not None:
                sys.exit(f"{name} does not start: {' '.join(arguments)}")
            try:
                self.socket = socket.create_connection(("127.0.0.1", self.port))
                break
            except OSError:
                time.sleep(0.005)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while self.ask("PING") != b"+PONG":
            time.sleep(0.01)

    def ask(self, *words):
        """One command with a short reply; the reply without its last line end."""
        self.socket.sendall(command(*words))
        reply = self.socket.recv(1 << 16)
        while not reply.endswith(b"\r\n") or reply.startswith(b"$") and reply.count(b"\n") < 2:
            reply += self.socket.recv(1 << 16)
        return reply[:-2]

    def fill(self, count):
        """SETs `count` keys, named as the load generator names them."""
        for start in range(0, count, 5000):
            batch = [command("SET", f"key:{i:012}", VALUE)
                     for i in range(start, min(start + 5000, count))]
            self.socket.sendall(b"".join(batch))
            missing = 5 * len(batch)
            while missing > 0:
                missing -= len(self.socket.recv(1 << 20))

    def has_transactions(self):
        """A server without MULTI answers with an error."""
        return self.ask("MULTI") == b"+OK" and self.ask("DISCARD") == b"+OK"

    def cpu_seconds(self):
        """Of all threads so far; the number is the kernel's name for another process's clock."""
        return time.clock_gettime(((~self.process.pid) << 3) | 2)

    def load(self, workload, seconds, **settings):
        """Runs the load generator; its figures, and CPU in µs for each thing done."""
        arguments = [self.options.generator, "--port", str(self.port), "--workload", workload,
                     "--seconds", str(seconds)]
        for name, value in settings.items():
            arguments += [f"--{name}", str(value)]
        before = self.cpu_seconds()
        run = subprocess.run(
            on_cores(self.cores, arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, check=False, env=os.environ | {"RUST_BACKTRACE": "0"})
        used = self.cpu_seconds() - before
        if run.returncode != 0:
            sys.exit(f"{self.name}, {workload}: {run.stderr[-500:]}")
        figures = {name: float(value) for name, value in
                   (word.split("=") for word in run.stdout.split())}
        return figures | {"cpu": used / figures["done"] * 1e6}

    def stop(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


def spread(values, form="{:.2f}"):
    """The median and the range."""
    if not values:
        return "none"
    low, high = form.format(min(values)), form.format(max(values))
    return f"{form.format(statistics.median(values))} ({low}-{high})"


def turns(options):
    """The servers of each round, the first place changing."""
    for number in range(options.rounds):
        yield from options.servers if number % 2 == 0 else options.servers[::-1]


def divide(above, below):
    """Ratios round by round."""
    return [a / b for a, b in zip(above, below)]


def mset(options):
    # What is sent, how many at once, and of how many a row speaks.
    cases = {
        "MSET of 10": ("mset", 16, 1), "10 SETs, pipeline 160": ("set", 160, 10),
        "10 SETs, pipeline 16": ("set", 16, 10),
        "MGET of 10": ("mget", 16, 1), "10 GETs, pipeline 160": ("get", 160, 10),
        "10 GETs, pipeline 16": ("get", 16, 10),
    }
    samples = {(name, label): [] for name in options.servers for label in cases}
    for name in turns(options):
        server = Server(options, name, options.cores[:1])
        server.fill(KEYS)
        for label, (workload, pipeline, times) in cases.items():
            settings = {"pipeline": pipeline, "keys": KEYS}
            server.load(workload, options.seconds / 4, **settings)
            cpu = server.load(workload, options.seconds, **settings)["cpu"]
            samples[name, label].append(cpu * times)
        server.stop()
    print(f"| what | {' | '.join(f'{name}, µs' for name in options.servers)} | ratio |")
    print("|---|" + "---|" * (len(options.servers) + 1))
    for label in cases:
        rows = [samples[name, label] for name in options.servers]
        ratio = spread(divide(rows[0], rows[-1]))
        print(f"| {label} | {' | '.join(map(spread, rows))} | {ratio} |")
    print(f"\n| ratio | {' | '.join(options.servers)} | target for ours |")
    print("|---|" + "---|" * (len(options.servers) + 1))
    targets = {("MSET", "SET"): "1.5", ("MGET", "GET"): "1.1"}
    for (many, one), target in targets.items():
        for pipeline in (160, 16):
            below = f"10 {one}s, pipeline {pipeline}"
            cells = [spread(divide(samples[name, f"{many} of 10"], samples[name, below]))
                     for name in options.servers]
            print(f"| {many} of 10 / {below} | {' | '.join(cells)} | {target} |", flush=True)


def limiter(options):
    cases = [(keys, pipeline) for keys in (KEYS, 1) for pipeline in (1, 16)]
    samples = {(name, case): [] for name in options.servers for case in cases}
    for name in turns(options):
        server = Server(options, name, options.cores[:1])
        if server.has_transactions():
            for case in cases:
                settings = dict(zip(("keys", "pipeline"), case))
                server.load("limiter", options.seconds / 4, **settings)
                figures = server.load("limiter", options.seconds, **settings)
                samples[name, case].append(figures["cpu"])
        server.stop()
    print(f"| keys | EXECs sent at once | {' | '.join(f'{name}, µs' for name in options.servers)} "
          "| ratio |")
    print("|---|---|" + "---|" * (len(options.servers) + 1))
    for keys, pipeline in cases:
        rows = [samples[name, (keys, pipeline)] for name in options.servers]
        print(f"| {keys:,} | {pipeline} | {' | '.join(map(spread, rows))} "
              f"| {spread(divide(rows[0], rows[-1]))} |", flush=True)


def contend(server, workload, clients, seconds):
    """One sample of clients at one key, whose value must tell of every commit."""
    server.ask("DEL", "contended")
    figures = server.load(workload, seconds, clients=clients, pipeline=1)
    step = 2 if workload == "counters" else 1
    reply = server.ask("GET", "contended").split(b"\r\n")[1]
    if int(reply) != step * figures["done"]:
        sys.exit(f"{server.name} lost a change: {reply!r} after {figures['done']:.0f} {workload}")
    return figures | {
        "rate": figures["done"] / figures["seconds"],
        "lost": figures["aborts"] / figures["done"],
        # What the slowest client got, against an equal share.
        "share": figures["least"] * clients / figures["done"],
    }


def watch(options):
    columns = {"rate": "{:,.0f}", "lost": "{:.2f}", "p50_us": "{:.0f}", "p99_us": "{:.0f}",
               "worst_us": "{:.0f}", "share": "{:.2f}", "cpu": "{:.2f}"}
    cases = [(kind, clients) for kind in ("watch", "counters") for clients in (1, 2, 8, 50)]
    samples = {}
    for name in turns(options):
        server = Server(options, name, options.cores)
        if server.has_transactions():
            for kind, clients in cases:
                contend(server, kind, clients, options.seconds / 4)
                sample = contend(server, kind, clients, 2 * options.seconds)
                samples.setdefault((name, kind, clients), []).append(sample)
        server.stop()
    print("| what | clients | server | commits/s | aborts for each | p50, µs | p99, µs "
          "| worst, µs | least share | CPU, µs |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for kind, clients in cases:
        for name in options.servers:
            found = samples.get((name, kind, clients), [])
            cells = [spread([each[column] for each in found], form)
                     for column, form in columns.items()]
            print(f"| {kind} | {clients} | {name} | {' | '.join(cells)} |", flush=True)


def main():
    sections = {"mset": mset, "limiter": limiter, "watch": watch}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default=os.path.join(ROOT, "target/release/ferrum-kv"))
    parser.add_argument("--servers", default=f"{OURS},{REDIS}", help="which of the two")
    parser.add_argument("--sections", default=",".join(sections))
    parser.add_argument("--folder", help="where logs are; the default is for temporary files")
    parser.add_argument("--policy", choices=("always", "everysec", "no"), help="with a log")
    parser.add_argument("--rounds", type=int, help="3 with --short, 7 without")
    parser.add_argument("--seconds", type=float, help="of a sample: 0.3 with --short, 1 without")
    parser.add_argument("--short", action="store_true", help="a first look")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.short else 7)
    options.seconds = options.seconds or (0.3 if options.short else 1.0)
    options.servers = options.servers.split(",")
    options.cores = sorted(os.sched_getaffinity(0))[:2]
    subprocess.run(["cargo", "build", "--release", "--quiet", "--example", "load"], cwd=ROOT,
                   check=True)
    options.generator = os.path.join(ROOT, "target/release/examples/load")
    for name in options.sections.split(","):
        if name not in sections:
            parser.error(f"no section {name}: {', '.join(sections)}")
        print(f"\n### {name}\n")
        sections[name](options)


if __name__ == "__main__":
    main()
