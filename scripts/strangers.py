#!/usr/bin/env python3
"""What clients cost that have not given the password and stop in the midst of a command.

    scripts/strangers.py [--server PATH] [--redis PATH] [--clients 1000]

Connects so many clients to a fresh server with a password, has each send the same beginning of a
command, and divides what `used_memory` has grown by their number. The median of three servers, for
FerrumKV and for redis-server. Needs `ulimit -n` of some hundred more than the clients. Prints
Markdown.
"""
import argparse
import shutil
import socket
import statistics
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "secret"
SETTLE_SECONDS = 1.0
ROUNDS = 3
# Both servers take ten arguments of 16 KiB at most from a stranger.
ARGUMENT = b"$16384\r\n" + b"x" * 16384 + b"\r\n"
HEAD = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$16384\r\n"
SENT = [
    ("nothing", b""),
    ("89 bytes of a command", HEAD + b"x" * (89 - len(HEAD))),
    ("16,000 bytes of a command", HEAD + b"x" * (16_000 - len(HEAD))),
    ("9 × 16 KiB of a command", b"*10\r\n" + 9 * ARGUMENT),
]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def used_memory(admin):
    """`used_memory` of the server behind a connection that has given the password."""
    admin.sendall(b"INFO memory\r\n")
    text = b""
    while b"mem_allocator" not in text:
        text += admin.recv(65536)
    field = next(line for line in text.split(b"\r\n") if line.startswith(b"used_memory:"))
    time.sleep(0.1)
    return int(field.split(b":")[1])


def measure(command, clients, sent):
    """Bytes for each client."""
    port = free_port()
    process = subprocess.Popen(
        [*command, "--port", str(port), "--requirepass", PASSWORD],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 30
        while True:
            try:
                admin = connect(port)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        admin.sendall(f"AUTH {PASSWORD}\r\n".encode())
        assert admin.recv(100) == b"+OK\r\n"
        used_memory(admin)
        before = used_memory(admin)
        strangers = [connect(port) for _ in range(clients)]
        for stranger in strangers:
            stranger.sendall(sent)
        time.sleep(SETTLE_SECONDS)
        return (used_memory(admin) - before) / clients
    finally:
        process.terminate()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default=str(ROOT / "target/release/ferrum-kv"))
    parser.add_argument("--redis", default="redis-server")
    parser.add_argument("--clients", type=int, default=1000)
    options = parser.parse_args()
    if not shutil.which(options.redis):
        parser.error(f"there is no {options.redis}: apt-get install redis-server")
    servers = [[options.server], [options.redis, "--save", ""]]
    print("| each has sent | FerrumKV | redis-server |\n|---|---|---|")
    for name, sent in SENT:
        costs = [
            statistics.median(measure(server, options.clients, sent) for _ in range(ROUNDS))
            for server in servers
        ]
        print(f"| {name} | {costs[0]:,.0f} | {costs[1]:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
