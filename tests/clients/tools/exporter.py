"""What Prometheus is told of a running server: python exporter.py HOST PORT

The metrics that prometheus-redis-exporter makes of it, by name and labels, are those it makes of a
redis-server, which is started beside it and goes through the same; but for those named here, each
with the reason why it has no meaning.
"""

import re
import socket
import subprocess
import sys
import urllib.request

from programs import Aimed

from checks import check, wait_until

HOST, PORT = sys.argv[1], sys.argv[2]

# Metrics that are not to be had of the server under test.
ABSENT = {}

# What only happens now and then, so that one of the two may not have it yet.
BY_CHANCE = {"redis_latency_spike_last", "redis_latency_spike_duration_seconds"}

# Everything the exporter can be asked for.
OPTIONS = ["-include-config-metrics", "-include-system-metrics", "-export-client-list",
           "-check-keys", "key:*", "-check-single-keys", "key:1", "-count-keys", "db0=key:*"]

LINE = re.compile(r"^(redis_\w+)(?:\{(.*)\})? ")
LABEL = re.compile(r'(\w+)="(?:[^"\\]|\\.)*"')


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def is_listening(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def go_through(cli):
    """So that there is something to tell: keys, deadlines, errors, slow commands."""
    commands = ["flushall", "config set slowlog-log-slower-than 0", "slowlog reset",
                *(f"set key:{index} {index}" for index in range(20)), "setex key:20 100 v",
                "get key:1", "get nope", "incr key:20", "mget key:1", "nosuch", "select 99",
                "config get maxmemory"]
    cli(text="\n".join(commands) + "\n")


def metrics(host, port):
    """Names with the names of their labels, and the errors the exporter met."""
    at = free_port()
    exporter = subprocess.Popen(
        ["prometheus-redis-exporter", "-redis.addr", f"redis://{host}:{port}",
         "-web.listen-address", f"127.0.0.1:{at}", *OPTIONS],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        wait_until("the exporter listens", lambda: is_listening(at))
        with urllib.request.urlopen(f"http://127.0.0.1:{at}/metrics", timeout=60) as reply:
            text = reply.read().decode()
    finally:
        exporter.terminate()
        log, _ = exporter.communicate(timeout=60)
    found = {}
    for line in text.splitlines():
        match = LINE.match(line)
        if match:
            labels = tuple(sorted(LABEL.findall(match[2] or "")))
            found.setdefault(match[1], set()).add(labels)
    check("it is up", "redis_up 1" in text.splitlines(), True)
    return found, [line for line in log.splitlines() if "level=error" in line]


def main():
    port = free_port()
    reference = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
        stdout=subprocess.DEVNULL)
    try:
        wait_until("redis-server listens", lambda: is_listening(port))
        go_through(Aimed("redis-cli", "127.0.0.1", port))
        expected, expected_errors = metrics("127.0.0.1", port)
    finally:
        reference.terminate()
        reference.wait(timeout=60)
    cli = Aimed("redis-cli", HOST, PORT)
    go_through(cli)
    got, errors = metrics(HOST, PORT)
    cli("config", "set", "slowlog-log-slower-than", "10000")
    cli("flushall")
    check("errors of the exporter", errors, expected_errors)
    missing = sorted(set(expected) - set(got) - BY_CHANCE)
    # A server that is a redis-server lacks none.
    check("metrics missing", missing, sorted(ABSENT) if missing else [])
    different = {name: (labels, got[name]) for name, labels in expected.items()
                 if name in got and got[name] != labels}
    check("labels differ", different, {})
    print(f"prometheus-redis-exporter: ok, {len(expected) - len(missing)} metrics of redis-server,"
          f" {len(set(got) - set(expected))} more")


main()
