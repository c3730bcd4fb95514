#!/usr/bin/env python3
"""What the append-only log costs, against redis-server in the same run with the same settings.

    scripts/bench_log.py [--server PATH] [--servers NAMES] [--sections cost,always,load,rewrite]
                         [--folder PATH] [--rounds N] [--short]

Sections:
* cost     CPU per operation of SET and INCR at pipeline 16 without a log, with everysec and with
           always, and the ratios to the same round's figure without a log
* always   operations per second of 50 clients that SET under always, at pipeline 1 and 16
* load     how fast a log is replayed: MB/s, commands a second, CPU
* rewrite  BGREWRITEAOF of five million keys under write load: how long, peak memory against before,
           p99.9 and worst latency of a SET with and without it

CPU is the server process's own, all threads, from the kernel's clock of the process. Memory of
redis-server while it rewrites is of parent and child, shared pages counted once. Both servers keep
their logs on the file system of --folder. One server works at a time.
Prints Markdown; figures of several rounds are medians, with the range.
"""
import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OURS, REDIS = "ferrum-kv", "redis-server"
CLIENTS = 50
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


class Server:
    """A server with a log under a policy (none: no log), in a folder of its own."""

    def __init__(self, options, name, policy, log=None, workers=1):
        self.name, self.port = name, free_port()
        self.folder = tempfile.mkdtemp(prefix="bench-log-", dir=options.folder)
        plain = os.path.join(self.folder, "appendonly.aof")
        if log:
            os.link(log, plain)
        if name == OURS:
            arguments = [options.server, "--addr", f"127.0.0.1:{self.port}", "--io-threads",
                         str(workers), "--loglevel", "warning"]
            if policy:
                arguments += ["--aof-path", plain, "--appendfsync", policy]
        else:
            arguments = [REDIS, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                         "--appendonly", "yes" if policy else "no", "--dir", self.folder,
                         "--aof-use-rdb-preamble", "no"]
            if policy:
                arguments += ["--appendfsync", policy]
        if policy:
            arguments += ["--auto-aof-rewrite-percentage", "0"]
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            arguments, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            if self.process.poll() is not None:
                sys.exit(f"{name} does not start: {' '.join(arguments)}")
            try:
                self.socket = self.connect()
                break
            except OSError:
                time.sleep(0.005)
        while self.ask("PING").startswith(b"-LOADING"):
            time.sleep(0.01)
        self.ready_seconds = time.monotonic() - self.started

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def ask(self, *words):
        """One command whose reply is a line; the line without its ends."""
        self.socket.sendall(command(*words))
        reply = b""
        while not reply.endswith(b"\r\n"):
            reply += self.socket.recv(1 << 16)
        return reply[:-2]

    def info(self, field):
        """A number of INFO persistence; -1 when there is none."""
        self.socket.sendall(command("INFO", "persistence"))
        reply = self.socket.recv(1 << 16)
        length = int(reply[1:reply.index(b"\r\n")])
        while len(reply) < length + len(str(length)) + 5:
            reply += self.socket.recv(1 << 16)
        found = re.search(rb"\b%s:(-?\d+)" % field.encode(), reply)
        return int(found.group(1)) if found else -1

    def pipeline(self, requests, reply_bytes):
        """Sends the bytes and reads so many bytes of replies."""
        self.socket.sendall(requests)
        while reply_bytes > 0:
            part = self.socket.recv(1 << 20)
            if not part or part.startswith(b"-"):
                sys.exit(f"{self.name} answered {part[:100]!r}")
            reply_bytes -= len(part)

    def fill(self, count):
        """SETs `count` keys, named as redis-benchmark names its random ones."""
        for start in range(0, count, 5000):
            batch = [command("SET", f"key:{i:012}", VALUE)
                     for i in range(start, min(start + 5000, count))]
            self.pipeline(b"".join(batch), 5 * len(batch))

    def cpu_seconds(self):
        """Of all threads so far; the number is the kernel's name for another process's clock."""
        return time.clock_gettime(((~self.process.pid) << 3) | 2)

    def memory_mib(self):
        """Memory of the process and its children; pages that they share count once."""
        pid = self.process.pid
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as file:
                children = file.read().split()
            if not children:
                with open(f"/proc/{pid}/statm") as file:
                    return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20
            total = 0
            for each in [str(pid), *children]:
                with open(f"/proc/{each}/smaps_rollup") as file:
                    total += int(re.search(r"^Pss:\s+(\d+)", file.read(), re.MULTILINE).group(1))
            return total / 1024
        except (OSError, AttributeError):
            return 0.0  # a child that has just ended

    def stop(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


def benchmark(server, words, requests, keys, pipeline, clients=CLIENTS):
    """redis-benchmark; returns operations per second."""
    output = subprocess.run(
        ["redis-benchmark", "-p", str(server.port), "-c", str(clients), "-P", str(pipeline), "-n",
         str(requests), "-r", str(keys), "--csv", *words],
        check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    # The name of the test, operations per second, latencies; names can have commas.
    found = re.search(r'",("[\d.]+"(,"[\d.]+")+)$', output.strip())
    if not found:
        sys.exit(f"redis-benchmark said {output[-300:]!r}")
    return float(found.group(1).split(",")[0].strip('"'))


def spread(values, form="{:.2f}"):
    """The median and the range."""
    low, high = form.format(min(values)), form.format(max(values))
    return f"{form.format(statistics.median(values))} ({low}-{high})"


def cost(options):
    requests, keys = 200_000 if options.short else 1_000_000, 100_000
    words = {"SET": ["SET", "key:__rand_int__", VALUE.decode()], "INCR": ["INCR", "n:__rand_int__"]}
    policies = [None, "everysec", "always"]
    print("| command | server | no log, µs | everysec, µs | always, µs | everysec / none "
          "| always / none |")
    print("|---|---|---|---|---|---|---|")
    samples = {}
    for number in range(options.rounds):
        # The first place changes from round to round.
        for name in options.servers if number % 2 == 0 else options.servers[::-1]:
            for policy in policies:
                server = Server(options, name, policy)
                for label, each in words.items():
                    benchmark(server, each, keys, keys, 16)
                    before = server.cpu_seconds()
                    benchmark(server, each, requests, keys, 16)
                    used = (server.cpu_seconds() - before) / requests * 1e6
                    samples.setdefault((label, name, policy), []).append(used)
                server.stop()
    for label in words:
        for name in options.servers:
            none, everysec, always = (samples[label, name, policy] for policy in policies)
            ratios = [[b / a for a, b in zip(none, other)] for other in (everysec, always)]
            cells = [spread(each) for each in (none, everysec, always, *ratios)]
            print(f"| {label} | {name} | {' | '.join(cells)} |", flush=True)


def always(options):
    print("| pipeline | server | SET a second under always | CPU, µs each |")
    print("|---|---|---|---|")
    for pipeline, requests in ((1, 50_000), (16, 400_000)):
        requests //= 10 if options.short else 1
        rates, used = {}, {}
        for number in range(options.rounds):
            for name in options.servers if number % 2 == 0 else options.servers[::-1]:
                server = Server(options, name, "always", workers=options.workers)
                words = ["SET", "key:__rand_int__", VALUE.decode()]
                benchmark(server, words, requests // 10, 100_000, pipeline)
                before = server.cpu_seconds()
                rate = benchmark(server, words, requests, 100_000, pipeline)
                rates.setdefault(name, []).append(rate)
                used.setdefault(name, []).append((server.cpu_seconds() - before) / requests * 1e6)
                server.stop()
        for name in options.servers:
            print(f"| {pipeline} | {name} | {spread(rates[name], '{:,.0f}')} "
                  f"| {spread(used[name])} |", flush=True)


def write_log(path, commands):
    """A log of SETs and, one in four, increments; on half as many keys as it has commands."""
    with open(path, "wb") as file:
        file.write(command("SELECT", 0))
        for start in range(0, commands, 10_000):
            batch = []
            for i in range(start, min(start + 10_000, commands)):
                key = i * 2_654_435_761 % (commands // 2)
                batch.append(command("INCRBY", b"n:%d" % key, 1) if i % 4 == 3
                             else command("SET", b"key:%012d" % key, VALUE))
            file.write(b"".join(batch))


def load(options):
    commands = 1_000_000 if options.short else 10_000_000
    path = os.path.join(options.folder, f"bench-log-{os.getpid()}.aof")
    write_log(path, commands)
    size = os.path.getsize(path) / 1e6
    print(f"{commands} commands, {size:.0f} MB\n")
    print("| server | seconds | MB/s | million commands/s | CPU, s | keys |")
    print("|---|---|---|---|---|---|")
    rows = [(name, workers) for name in options.servers
            for workers in ((1, 2) if name == OURS else (1,))]
    for name, workers in rows:
        seconds, used, keys = [], [], set()
        for _ in range(options.rounds):
            # A copy: a server appends to what it is given, or moves it.
            copy = path + ".copy"
            shutil.copy(path, copy)
            server = Server(options, name, "everysec", log=copy, workers=workers)
            seconds.append(server.ready_seconds)
            used.append(server.cpu_seconds())
            keys.add(server.ask("DBSIZE")[1:].decode())
            server.stop()
            os.remove(copy)
        label = f"{name}, {workers} workers" if name == OURS else name
        rates = [size / each for each in seconds], [commands / each / 1e6 for each in seconds]
        print(f"| {label} | {spread(seconds)} | {spread(rates[0], '{:.0f}')} | {spread(rates[1])} "
              f"| {spread(used)} | {', '.join(keys)} |", flush=True)
    os.remove(path)


def latencies(server, until):
    """One SET after another on one connection; returns the times in milliseconds."""
    connection, times, number = server.connect(), [], 0
    while not until():
        number += 7_919
        request = command("SET", f"key:{number % 1_000_000:012}", VALUE)
        start = time.perf_counter()
        connection.sendall(request)
        reply = connection.recv(256)
        times.append((time.perf_counter() - start) * 1e3)
        if reply != b"+OK\r\n":
            sys.exit(f"{server.name} answered {reply!r}")
    connection.close()
    return sorted(times)


def tail(times):
    return f"{times[len(times) * 999 // 1000]:.2f} | {times[-1]:.1f}"


class Load:
    """Random SETs at pipeline 16 until it is stopped."""

    def __init__(self, server, keys):
        self.process = subprocess.Popen(
            ["redis-benchmark", "-p", str(server.port), "-c", "10", "-P", "16", "-n", "2000000000",
             "-r", str(keys), "-q", "SET", "key:__rand_int__", VALUE.decode()],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.kill()
        self.process.wait()


def rewrite(options):
    keys, seconds = (500_000, 3) if options.short else (5_000_000, 15)
    print("| server | rewrite, s | memory before, MiB | peak, MiB | ratio | p99.9 without, ms "
          "| worst | p99.9 with, ms | worst | log before, MB | after |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name in options.servers:
        server = Server(options, name, "everysec", workers=options.workers)
        server.fill(keys)
        writers = Load(server, keys)
        end = time.monotonic() + seconds
        quiet = latencies(server, lambda: time.monotonic() > end)
        before, size = server.memory_mib(), server.info("aof_current_size")
        peak, finished = [before], threading.Event()
        reply = server.ask("BGREWRITEAOF")
        if not reply.startswith(b"+"):
            print(f"| {name} | {reply.decode()} |", flush=True)
            writers.stop()
            server.stop()
            continue
        begun = time.monotonic()

        def watch():
            while (server.info("aof_rewrite_in_progress") == 1
                   or server.info("aof_rewrite_scheduled") == 1):
                peak.append(server.memory_mib())
                time.sleep(0.05)
            peak.append(server.memory_mib())
            finished.set()

        watcher = threading.Thread(target=watch)
        watcher.start()
        busy = latencies(server, finished.is_set)
        took = time.monotonic() - begun
        watcher.join()
        writers.stop()
        sizes = f"{size / 1e6:.0f} | {server.info('aof_current_size') / 1e6:.0f}"
        print(f"| {name} | {took:.1f} | {before:.0f} | {max(peak):.0f} | {max(peak) / before:.2f} "
              f"| {tail(quiet)} | {tail(busy)} | {sizes} |", flush=True)
        server.stop()


def main():
    sections = {"cost": cost, "always": always, "load": load, "rewrite": rewrite}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default=os.path.join(ROOT, "target/release/ferrum-kv"))
    parser.add_argument("--servers", default=f"{OURS},{REDIS}", help="which of the two")
    parser.add_argument("--sections", default=",".join(sections))
    parser.add_argument("--folder", default=os.path.join(ROOT, "target"), help="where logs are")
    parser.add_argument("--workers", type=int, default=2, help="of ours, in always and rewrite")
    parser.add_argument("--rounds", type=int, help="3 with --short, 7 without")
    parser.add_argument("--short", action="store_true", help="a tenth of everything")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.short else 7)
    options.servers = options.servers.split(",")
    for name in options.sections.split(","):
        if name not in sections:
            parser.error(f"no section {name}: {', '.join(sections)}")
        print(f"\n### {name}\n")
        sections[name](options)


if __name__ == "__main__":
    main()
