#!/usr/bin/env python3
"""What deadlines cost, against redis-server in the same run.

    scripts/bench_expiry.py [--server PATH] [--sections mass,cost,scan,churn,lock] [--short]

Sections:
* mass   a million keys with one deadline: how long until they are gone, and the GETs meanwhile
* cost   GET, SET and INCR at pipeline 16 on keys with deadlines and on keys without
* scan   a whole SCAN of five million keys
* churn  SETEX of ever new keys for five minutes: throughput and memory, minute by minute
* lock   SETNX and DEL on one key, ten million rounds: CPU per round, by tenths

CPU is the server process's own, from /proc; ours has one worker but for one row of `mass`. One server
works at a time. Prints Markdown; `cost` gives medians and ranges of its rounds.
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


def command(*words):
    """One command in RESP."""
    encoded = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    parts = [b"*%d\r\n" % len(encoded)]
    parts += [b"$%d\r\n%s\r\n" % (len(w), w) for w in encoded]
    return b"".join(parts)


class Server:
    """A server process and one connection to it."""

    def __init__(self, name, arguments, port):
        self.name, self.port = name, port
        self.folder = tempfile.mkdtemp()
        self.process = subprocess.Popen(
            arguments, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(100):
            try:
                self.socket = socket.create_connection(("127.0.0.1", port))
                break
            except OSError:
                time.sleep(0.05)
        else:
            sys.exit(f"{name} does not start: {arguments}")
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, *words):
        """One command whose reply is a line; the line without its ends."""
        self.socket.sendall(command(*words))
        reply = b""
        while not reply.endswith(b"\r\n"):
            reply += self.socket.recv(1 << 16)
        return reply[:-2]

    def pipeline(self, requests, reply_bytes):
        """Sends the bytes and reads so many bytes of replies."""
        self.socket.sendall(requests)
        while reply_bytes > 0:
            got = len(self.socket.recv(1 << 20))
            if got == 0:
                sys.exit(f"{self.name} has closed the connection")
            reply_bytes -= got

    def cpu_seconds(self):
        """CPU time that the process has used, from the scheduler (nanoseconds, all threads)."""
        total = 0
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{thread}/schedstat") as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def rss_mib(self):
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20

    def stop(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


def ferrum(path, threads=1):
    return Server(
        "ferrum-kv", [path, "--addr", "127.0.0.1:6397", "--io-threads", str(threads)], 6397
    )


def redis():
    arguments = ["redis-server", "--port", "6396", "--save", "", "--appendonly", "no"]
    return Server("redis-server", arguments, 6396)


def fill(server, count, deadline_millis=None, prefix="key", value="v" * 32):
    """SETs `count` keys, named as redis-benchmark names its random ones."""
    extra = [] if deadline_millis is None else ["PXAT", deadline_millis]
    for start in range(0, count, 5000):
        batch = [
            command("SET", f"{prefix}:{i:012}", value, *extra)
            for i in range(start, min(start + 5000, count))
        ]
        server.pipeline(b"".join(batch), 5 * len(batch))


def get_loop(server, until):
    """One GET after another; returns the times in milliseconds."""
    request, times = command("GET", "nothing"), []
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while not until():
        start = time.perf_counter()
        connection.sendall(request)
        connection.recv(64)
        times.append((time.perf_counter() - start) * 1e3)
    connection.close()
    return times


def tail(times):
    times = sorted(times)
    over = sum(t > 2 for t in times)
    p999 = times[len(times) * 999 // 1000]
    return f"p99.9 {p999:.2f} ms, worst {times[-1]:.1f} ms, over 2 ms: {over} of {len(times)}"


def mass(options):
    count = 1_000_000
    print("| server | gone after, s | GETs meanwhile | GETs before, the same server at rest |")
    print("|---|---|---|---|")
    for start in (lambda: ferrum(options.server), lambda: ferrum(options.server, 0), redis):
        server = start()
        at = int(time.time() * 1000) + 15_000
        fill(server, count, at)
        end = time.time() + 1.5
        rest = get_loop(server, lambda: time.time() > end)
        if time.time() * 1000 > at:
            sys.exit("too slow: the deadline has passed before all was ready")
        state = {"next": at / 1000, "gone": None}

        def gone():
            now = time.time()
            if now < state["next"]:
                return False
            state["next"] = now + 0.02
            if now > at / 1000 + 30:
                sys.exit(f"{server.name} still has {server.ask('DBSIZE')[1:].decode()} keys")
            if server.ask("DBSIZE") == b":0":
                state["gone"] = now - at / 1000
            return state["gone"] is not None

        time.sleep(max(0, at / 1000 - time.time()))
        times = get_loop(server, gone)
        threads = " ".join(server.process.args[3:5]) if server.name == "ferrum-kv" else ""
        print(f"| {server.name} {threads} | {state['gone']:.2f} | {tail(times)} | {tail(rest)} |", flush=True)
        server.stop()


def benchmark_cpu(server, words, requests, keys):
    """CPU of the server for one request, in µs, by redis-benchmark at pipeline 16."""
    before = server.cpu_seconds()
    subprocess.run(
        ["redis-benchmark", "-p", str(server.port), "-c", "50", "-P", "16", "-n", str(requests),
         "-r", str(keys), "-q", *words],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    return (server.cpu_seconds() - before) / requests * 1e6


def cost(options):
    keys, requests = 100_000, 300_000 if options.short else 1_000_000
    rounds = 3 if options.short else 7
    cases = {
        "GET": (["GET", "key:__rand_int__"], ["GET", "key:__rand_int__"]),
        "SET": (
            ["SET", "key:__rand_int__", "v" * 32],
            ["SET", "key:__rand_int__", "v" * 32, "KEEPTTL"],
        ),
        "SET EX": (
            ["SET", "key:__rand_int__", "v" * 32],
            ["SET", "key:__rand_int__", "v" * 32, "EX", "10000"],
        ),
        "INCR": (["INCR", "n:__rand_int__"], ["INCR", "n:__rand_int__"]),
    }
    print("| command | ferrum-kv with / without | redis-server with / without | with, ours / redis |")
    print("|---|---|---|---|")
    servers = {server.name: server for server in (ferrum(options.server), redis())}
    for name, (without, with_deadline) in cases.items():
        ratios, absolute = {}, {}
        for server_name, server in servers.items():
            pairs = []
            for _ in range(rounds):
                pair = []
                later = int(time.time() * 1000) + 10_000_000
                for words, deadline in ((without, None), (with_deadline, later)):
                    server.ask("FLUSHALL")
                    prefix, value = ("n", "1") if name == "INCR" else ("key", "v" * 32)
                    fill(server, keys, deadline, prefix, value)
                    pair.append(benchmark_cpu(server, words, requests, keys))
                pairs.append(pair)
            ratios[server_name] = sorted(b / a for a, b in pairs)
            absolute[server_name] = statistics.median(b for _, b in pairs)
        cells = [
            f"{statistics.median(r):.2f} ({r[0]:.2f}-{r[-1]:.2f})" for r in ratios.values()
        ]
        share = absolute["ferrum-kv"] / absolute["redis-server"]
        print(f"| {name} | {cells[0]} | {cells[1]} | {share:.2f} |", flush=True)
    for server in servers.values():
        server.stop()


def scan(options):
    count = 500_000 if options.short else 5_000_000
    print("| server | COUNT | whole scan, s | CPU, ns a key | keys |")
    print("|---|---|---|---|---|")
    for start in (lambda: ferrum(options.server), redis):
        server = start()
        fill(server, count)
        for chunk in (10, 1000):
            cpu, begin = server.cpu_seconds(), time.time()
            cursor, seen = b"0", 0
            replies = server.socket.makefile("rb", 1 << 20)
            while True:
                server.socket.sendall(command("SCAN", cursor, "COUNT", chunk))
                assert replies.readline() == b"*2\r\n"
                replies.readline()
                cursor = replies.readline().strip()
                found = int(replies.readline()[1:])
                for _ in range(found):
                    length = int(replies.readline()[1:])
                    replies.read(length + 2)
                seen += found
                if cursor == b"0":
                    break
            took, cpu = time.time() - begin, server.cpu_seconds() - cpu
            print(
                f"| {server.name} | {chunk} | {took:.1f} | {cpu / count * 1e9:.0f} | {seen} |",
                flush=True,
            )
        server.stop()


def churn(options):
    minutes, slice_seconds = (1, 10) if options.short else (5, 60)
    print("| server | part | SETEX a second | CPU, µs each | RSS, MiB | keys |")
    print("|---|---|---|---|---|---|")
    for start in (lambda: ferrum(options.server), redis):
        server, number = start(), 0
        for part in range(minutes * 60 // slice_seconds):
            begin, cpu, first = time.time(), server.cpu_seconds(), number
            while time.time() < begin + slice_seconds:
                batch = [
                    command("SETEX", f"session:{number + i:012}", 2, b"v" * 64) for i in range(1000)
                ]
                server.pipeline(b"".join(batch), 5 * len(batch))
                number += len(batch)
            took, done = time.time() - begin, number - first
            used = (server.cpu_seconds() - cpu) / done * 1e6
            print(
                f"| {server.name} | {part + 1} | {done / took:.0f} | {used:.2f} "
                f"| {server.rss_mib():.0f} | {server.ask('DBSIZE')[1:].decode()} |",
                flush=True,
            )
        server.stop()


def lock(options):
    rounds = 1_000_000 if options.short else 10_000_000
    print("| server | CPU of a round, µs, by tenths |")
    print("|---|---|")
    for start in (lambda: ferrum(options.server), redis):
        server = start()
        batch = command("SETNX", "lock", "owner") + command("DEL", "lock")
        tenths = []
        for _ in range(10):
            cpu = server.cpu_seconds()
            for _ in range(rounds // 10 // 500):
                server.pipeline(batch * 500, 8 * 500)
            tenths.append((server.cpu_seconds() - cpu) / (rounds / 10) * 1e6)
        assert server.ask("EXISTS", "lock") == b":0"
        print(f"| {server.name} | {' '.join(f'{t:.2f}' for t in tenths)} |", flush=True)
        server.stop()


def main():
    sections = {"mass": mass, "cost": cost, "scan": scan, "churn": churn, "lock": lock}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default=os.path.join(ROOT, "target/release/ferrum-kv"))
    parser.add_argument("--sections", default=",".join(sections))
    parser.add_argument("--short", action="store_true", help="a tenth of everything")
    options = parser.parse_args()
    for name in options.sections.split(","):
        if name not in sections:
            parser.error(f"no section {name}: {', '.join(sections)}")
        print(f"\n### {name}\n")
        sections[name](options)


if __name__ == "__main__":
    main()
