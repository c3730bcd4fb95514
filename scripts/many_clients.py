#!/usr/bin/env python3
"""What connections cost: memory of idle ones, service with many, and connections that come and go.

    scripts/many_clients.py [--server PATH] [--idle 10000] [--busy 500] [--rate 1000]
                            [--seconds 60] [--workers N]

* idle   so many connections that have sent one PING each: bytes of resident memory and of
         `mem_clients_normal` for each, and how long CLIENT LIST takes
* busy   so many connections that each have a request under way at all times, beside the idle ones:
         requests a second and their latencies
* churn  so many connections a second that connect, ask, and close: memory at the start, then every
         ten seconds, and how many clients are listed at the end

The server is started afresh, on a free port of this machine, without a log. It and this program
share the cores, so that the rates are no records: what is to be seen is that nobody is refused or
forgotten, and that memory stays flat. Needs `ulimit -n` of some thousands more than the clients.
Prints Markdown.
"""
import argparse
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PING = b"PING\r\n"
PONG = b"+PONG\r\n"


class Server:
    """A server process on a free port."""

    def __init__(self, path, workers, clients):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [path, "--addr", f"127.0.0.1:{self.port}", "--maxclients", str(clients)]
        if workers:
            command += ["--io-threads", str(workers)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while True:
            try:
                self.admin = self.connect()
                return
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def connect(self):
        """A new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def ask(self, command):
        """The text of a bulk reply."""
        self.admin.sendall(command.encode() + b"\r\n")
        received = b""
        while b"\r\n" not in received:
            received += self.admin.recv(1 << 20)
        head, received = received.split(b"\r\n", 1)
        length = int(head[1:]) + 2
        pieces = [received]
        left = length - len(received)
        while left > 0:
            pieces.append(self.admin.recv(1 << 20))
            left -= len(pieces[-1])
        return b"".join(pieces)[:-2].decode()

    def info(self, field):
        """One figure of INFO."""
        for line in self.ask("INFO").splitlines():
            if line.startswith(field + ":"):
                return int(line.split(":")[1])
        raise KeyError(field)

    def resident_bytes(self):
        """Memory in use."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def stop(self):
        """Ends it."""
        self.process.terminate()
        self.process.wait()


def idle(server, count):
    """Opens so many connections; returns them."""
    resident, counted = server.resident_bytes(), server.info("mem_clients_normal")
    start = time.monotonic()
    clients = []
    for _ in range(count):
        client = server.connect()
        client.sendall(PING)
        if client.recv(64) != PONG:
            sys.exit(f"connection {len(clients) + 1} is not answered")
        clients.append(client)
    seconds = time.monotonic() - start
    resident = (server.resident_bytes() - resident) / count
    counted = (server.info("mem_clients_normal") - counted) / count
    start = time.monotonic()
    lines = len(server.ask("CLIENT LIST").splitlines())
    listing_ms = (time.monotonic() - start) * 1_000
    print("| idle connections | opened in | resident bytes each | counted bytes each | CLIENT LIST |")
    print("|---|---|---|---|---|")
    print(f"| {count:,} | {seconds:.1f} s | {resident:,.0f} | {counted:,.0f} "
          f"| {lines:,} lines in {listing_ms:.0f} ms |\n", flush=True)
    return clients


def busy(server, count, seconds):
    """Has so many connections ask all the time."""
    selector = selectors.DefaultSelector()
    sent = {}
    for _ in range(count):
        client = server.connect()
        client.setblocking(False)
        selector.register(client, selectors.EVENT_READ)
        client.send(PING)
        sent[client] = time.perf_counter()
    latencies = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for key, _ in selector.select(1):
            client = key.fileobj
            if client.recv(64) != PONG:
                sys.exit("a busy client is not answered")
            now = time.perf_counter()
            latencies.append(now - sent[client])
            client.send(PING)
            sent[client] = now
    least = min(sent.values())
    cuts = statistics.quantiles(latencies, n=1000)
    print("| busy connections | requests a second | p50 | p99 | p99.9 | longest |")
    print("|---|---|---|---|---|---|")
    figures = [cuts[499], cuts[989], cuts[998], max(latencies)]
    print(f"| {count} | {len(latencies) / seconds:,.0f} | "
          + " | ".join(f"{figure * 1e3:.1f} ms" for figure in figures) + " |\n", flush=True)
    if time.perf_counter() - least > 5:
        sys.exit("a busy client was forgotten")
    for client in sent:
        client.close()


def churn(server, rate, seconds):
    """Opens and closes so many connections a second."""
    print("| seconds | connections so far | resident | counted for clients | listed |")
    print("|---|---|---|---|---|")
    opened, start, report = 0, time.monotonic(), 0
    while True:
        elapsed = time.monotonic() - start
        if elapsed >= report:
            time.sleep(0.2)
            resident = server.resident_bytes() / (1 << 20)
            counted = server.info("mem_clients_normal") / 1024
            listed = len(server.ask("CLIENT LIST").splitlines())
            print(f"| {elapsed:.0f} | {opened:,} | {resident:.1f} MiB | {counted:,.0f} KiB "
                  f"| {listed:,} |", flush=True)
            report += 10
        if elapsed >= seconds:
            return
        while opened < elapsed * rate:
            with server.connect() as client:
                client.sendall(PING)
                if client.recv(64) != PONG:
                    sys.exit(f"connection {opened} is not answered")
            opened += 1
        time.sleep(0.005)


def main():
    """Runs all sections."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default=ROOT / "target/release/ferrum-kv")
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--busy", type=int, default=500)
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()
    most = options.idle + options.busy + 100
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, most + 100), hard))
    server = Server(str(options.server), options.workers, most)
    try:
        clients = idle(server, options.idle)
        busy(server, options.busy, 10)
        for client in clients:
            client.close()
        time.sleep(1)
        churn(server, options.rate, options.seconds)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
