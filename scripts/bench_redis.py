"""ferrum-kv against redis-server, on one machine, in interleaved rounds.

The figure is the processor time of the server per operation, read from the clock of its process:
unlike throughput it hardly depends on who else uses the machine, nor on whether server or load
generator is the slower of the two. In each round both servers are started afresh and loaded
alike, then measured one right after the other, the first place changing from round to round. A
ratio is taken within its round; the tables show the median over the rounds, and the range.

Sections:
  onecore  server and load generator share one core: neither ever sleeps while the other works, so
           the figures repeat best. ferrum-kv runs one worker.
  free     both servers and the load generators (two) are free on two cores. ferrum-kv runs two
           workers; redis-server has one thread for commands.
  scaling  ferrum-kv alone: two workers on two cores against one worker on one core, pipeline 16.
  growth   one connection inserts keys into an empty server in batches of 50: the most processor
           time spent in one batch, and memory per key.

Keys have 16 bytes (counters 20), values 32; 50 connections; keys are drawn uniformly from those
present.
"""

import argparse
import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = 50
VALUE_BYTES = 32
KEY_BYTES = 16
GROWTH_BATCH = 50
SCALING_PIPELINE = 16
SECTIONS = ["onecore", "free", "scaling", "growth"]
COMMANDS = ["get", "set", "incr"]
REDIS, FERRUM = "redis-server", "ferrum-kv"


def note(text):
    print(text, file=sys.stderr, flush=True)


# ---------------------------------------------------------------------------- the machine


def process_seconds(pid):
    """Processor time of all threads of a process so far. The number is the kernel's name for the
    clock of another process: see clock_getcpuclockid(3)."""
    return time.clock_gettime(((~pid) << 3) | 2)


def resident_bytes(pid):
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) * 1024


def busy_seconds(cores):
    """Time that the cores have spent on anything, and time the hypervisor gave to others."""
    ticks = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *columns = line.split()
        if name in {f"cpu{core}" for core in cores}:
            user, nice, system, _idle, _wait, irq, softirq, steal = map(int, columns[:8])
            ticks += user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def wait_for_quiet(cores, seconds=5.0, share=0.1):
    """Waits, but not for ever, until the cores have little else to do."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before = busy_seconds(cores)
        time.sleep(0.2)
        if busy_seconds(cores) - before <= 0.2 * share * len(cores) + 0.011:
            return


def processor_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return os.uname().machine


def first_line(*command):
    out = subprocess.run(command, capture_output=True, text=True, check=False)
    return (out.stdout or out.stderr).splitlines()[0].strip()


# ---------------------------------------------------------------------------- servers


class Connection:
    """As much of a client as loading needs."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request, reply_bytes):
        """Sends a request and waits for a reply of a known length."""
        self.socket.sendall(request)
        while reply_bytes > 0:
            part = self.socket.recv(1 << 16)
            if not part or part.startswith(b"-"):
                raise RuntimeError(f"unexpected reply: {part[:100]!r}")
            reply_bytes -= len(part)

    def set_all(self, prefix, numbers, value):
        """One pipeline of SETs."""
        tail = b"\r\n$%d\r\n%s\r\n" % (len(value), value)
        head = b"*3\r\n$3\r\nSET\r\n$%d\r\n%s" % (len(prefix) + 12, prefix)
        request = b"".join([b"%s%012d%s" % (head, number, tail) for number in numbers])
        self.send(request, len(b"+OK\r\n") * len(numbers))

    def close(self):
        self.socket.close()


def free_port(start):
    """The first port from `start` on where nobody listens."""
    for port in range(start, start + 1000):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no free port from {start} on")


@dataclass
class Server:
    """A server process, for as long as the `with` block lasts."""

    name: str
    command: list
    cores: list
    port: int
    process: subprocess.Popen = field(default=None, repr=False)

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="bench-redis-")
        pinned = ["taskset", "-c", ",".join(map(str, self.cores))] + self.command
        self.process = subprocess.Popen(
            pinned, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            self.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait_until_ready(self):
        end = time.monotonic() + 20
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} did not start: {' '.join(self.command)}")
            try:
                connection = Connection(self.port)
                connection.send(b"PING\r\n", len(b"+PONG\r\n"))
                return connection.close()
            except OSError:
                if time.monotonic() > end:
                    raise RuntimeError(f"{self.name} does not answer") from None
                time.sleep(0.02)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def pid(self):
        return self.process.pid  # taskset becomes the server

    def load(self, command, keys):
        """Makes present what redis-benchmark's random keys for `command` can name."""
        prefix, value = (b"counter:", b"0") if command == "incr" else (b"key:", b"x" * VALUE_BYTES)
        connection = Connection(self.port)
        for start in range(0, keys, 1000):
            connection.set_all(prefix, range(start, min(keys, start + 1000)), value)
        connection.close()


def redis(options, cores):
    port = free_port(options.port)
    command = [options.redis, "--port", str(port), "--bind", "127.0.0.1", "--save", "",
               "--appendonly", "no"]
    return Server(REDIS, command, cores, port)


def ferrum(options, cores, workers):
    port = free_port(options.port + 1)
    command = [options.ferrum, "--addr", f"127.0.0.1:{port}", "--io-threads", str(workers),
               "--loglevel", "warning"]
    return Server(FERRUM, command, cores, port)


# ---------------------------------------------------------------------------- samples


@dataclass
class Sample:
    microseconds: float  # processor time of the server per operation
    throughput: float  # operations per second
    strangers: float  # cores that others used meanwhile, of those measured on


def generate(options, server, command, pipeline, keys, requests, cores):
    """Runs a redis-benchmark per core and returns the operations per second of all together. (Not
    one with --threads: that sees the end of its work up to 250 ms late.)"""
    share = ["-c", str(CLIENTS // len(cores)), "-n", str(requests // len(cores))]
    run = ["taskset", "-c", ",".join(map(str, cores)), options.benchmark, "-h", "127.0.0.1",
           "-p", str(server.port), "-t", command, "-P", str(pipeline), "-r", str(keys),
           "-d", str(VALUE_BYTES), "--csv"] + share
    processes = [subprocess.Popen(run, stdout=subprocess.PIPE, text=True) for _ in cores]
    rate = 0.0
    for process in processes:
        out, _ = process.communicate(timeout=120)
        result = re.search(rf'^"{command.upper()}","([\d.]+)"', out, re.MULTILINE)
        if process.returncode != 0 or not result:
            raise RuntimeError(f"redis-benchmark said: {out[-300:]!r}")
        rate += float(result.group(1))
    return rate


def measure(options, server, command, pipeline, keys, cores):
    """One sample, after a short run that warms up and tells how many operations to do."""
    unit = CLIENTS * pipeline
    first = unit * max(20, 400 // pipeline)
    rate = generate(options, server, command, pipeline, keys, first, cores)
    requests = max(1, round(rate * options.seconds / unit)) * unit
    wait_for_quiet(cores)
    busy, spent, children = busy_seconds(cores), process_seconds(server.pid), os.times()
    start = time.monotonic()
    rate = generate(options, server, command, pipeline, keys, requests, cores)
    lasted = time.monotonic() - start
    spent, ended = process_seconds(server.pid) - spent, os.times()
    generator = (ended.children_user + ended.children_system
                 - children.children_user - children.children_system)
    strangers = max(0.0, busy_seconds(cores) - busy - spent - generator) / lasted
    return Sample(spent * 1e6 / requests, rate, strangers)


def compare(options, make_servers, commands, pipelines, keys, cores):
    """Rounds of samples. `make_servers` gives, afresh for each round, pairs of a server and the
    cores of its load generator. Returns {(command, pipeline): [samples of one round, ...]}."""
    results = {}
    for number in range(options.rounds):
        for command in commands:
            with contextlib.ExitStack() as stack:
                servers = []
                for make in make_servers:
                    server = stack.enter_context(make())
                    server.load(command, keys)
                    servers.append(server)
                for pipeline in pipelines:
                    samples = [None] * len(servers)
                    order = range(len(servers))
                    for index in order if number % 2 == 0 else reversed(order):
                        samples[index] = measure(
                            options, servers[index], command, pipeline, keys, cores[index])
                    results.setdefault((command, pipeline), []).append(samples)
                    note(f"  round {number + 1}, {command} at pipeline {pipeline}: "
                         + ", ".join(f"{one.microseconds:.3f} µs" for one in samples))
    return results


# ---------------------------------------------------------------------------- tables


def median_of(samples, name):
    return statistics.median(getattr(sample, name) for sample in samples)


def ratios(rounds, name):
    """Second over first server, per round: the median, the least, the greatest."""
    all_ratios = [getattr(b, name) / getattr(a, name) for a, b in rounds]
    return statistics.median(all_ratios), min(all_ratios), max(all_ratios)


def print_table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def print_comparison(title, names, results):
    print(f"### {title}\n")
    rows = []
    for (command, pipeline), rounds in results.items():
        first, second = zip(*rounds)
        cpu, least, greatest = ratios(rounds, "microseconds")
        rows.append([
            command.upper(), str(pipeline),
            f"{median_of(first, 'microseconds'):.3f}", f"{median_of(second, 'microseconds'):.3f}",
            f"**{cpu:.2f}** ({least:.2f}-{greatest:.2f})",
            f"{median_of(first, 'throughput') / 1e3:,.0f}",
            f"{median_of(second, 'throughput') / 1e3:,.0f}",
            f"{ratios(rounds, 'throughput')[0]:.2f}",
        ])
    header = ["command", "pipeline", f"{names[0]}, µs", f"{names[1]}, µs", "ratio (range)",
              f"{names[0]}, k/s", f"{names[1]}, k/s", "ratio"]
    print_table(header, rows)
    strangers = [one.strangers for rounds in results.values() for pair in rounds for one in pair]
    print(f"Others used {statistics.median(strangers):.2f} cores meanwhile (median; worst sample "
          f"{max(strangers):.2f}).\n", flush=True)


# ---------------------------------------------------------------------------- sections


def onecore(options):
    core = options.cores[:1]
    for keys in options.keys:
        note(f"one core, {keys} keys")
        results = compare(options, [lambda: redis(options, core), lambda: ferrum(options, core, 1)],
                          options.commands, options.pipelines, keys, [core, core])
        print_comparison(f"One core, {keys:,} keys", [REDIS, FERRUM], results)


def free(options):
    cores = options.cores
    for keys in options.keys:
        note(f"free on two cores, {keys} keys")
        servers = [lambda: redis(options, cores), lambda: ferrum(options, cores, len(cores))]
        results = compare(options, servers, options.commands, options.pipelines, keys,
                          [cores, cores])
        print_comparison(f"Free on two cores, {keys:,} keys", [REDIS, FERRUM], results)


def scaling(options):
    one, two = options.cores[:1], options.cores
    servers = [lambda: ferrum(options, one, 1), lambda: ferrum(options, two, len(two))]
    for keys in options.keys:
        note(f"two workers against one, {keys} keys")
        results = compare(options, servers, options.commands, [SCALING_PIPELINE], keys, [one, two])
        print_comparison(f"Two workers on two cores against one on one, {keys:,} keys",
                         ["one worker", "two workers"], results)


@dataclass
class Growth:
    worst_milliseconds: float  # most processor time of the server in one batch
    worst_at: int  # keys there were then
    high_milliseconds: float  # what one batch in a thousand exceeds
    microseconds: float  # processor time per key, all in all
    overhead: float  # bytes per key beyond key and value


def grow(options, server):
    """Fills an empty server over one connection."""
    time.sleep(0.5)
    wait_for_quiet(server.cores)
    connection = Connection(server.port)
    empty, value = resident_bytes(server.pid), b"v" * VALUE_BYTES
    start = process_seconds(server.pid)
    batches = []
    for first in range(0, options.growth_keys, GROWTH_BATCH):
        before = process_seconds(server.pid)
        connection.set_all(b"key:", range(first, first + GROWTH_BATCH), value)
        batches.append(process_seconds(server.pid) - before)
    spent = process_seconds(server.pid) - start
    time.sleep(1.0)  # idle work is part of it: memory is measured when it is done
    keys = len(batches) * GROWTH_BATCH
    overhead = (resident_bytes(server.pid) - empty) / keys - KEY_BYTES - VALUE_BYTES
    connection.close()
    worst = max(range(len(batches)), key=batches.__getitem__)
    high = sorted(batches)[len(batches) * 999 // 1000]
    return Growth(batches[worst] * 1e3, worst * GROWTH_BATCH, high * 1e3, spent * 1e6 / keys,
                  overhead)


def growth(options):
    note(f"growth to {options.growth_keys} keys")
    core = options.cores[:1]
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, options.cores[1:])  # the client beside the server, not on its core
    makers = {REDIS: lambda: redis(options, core), FERRUM: lambda: ferrum(options, core, 1)}
    results = {name: [] for name in makers}
    for number in range(options.rounds):
        for name in sorted(makers, reverse=number % 2 == 0):
            with makers[name]() as server:
                one = grow(options, server)
            results[name].append(one)
            note(f"  round {number + 1}, {name}: worst batch {one.worst_milliseconds:.2f} ms at "
                 f"{one.worst_at} keys, {one.overhead:.1f} bytes per key")
    os.sched_setaffinity(0, allowed)
    print(f"### Growth from 0 to {options.growth_keys:,} keys, batches of {GROWTH_BATCH}\n")
    rows = []
    for name, rounds in results.items():
        worst = [one.worst_milliseconds for one in rounds]
        rows.append([
            name, f"**{statistics.median(worst):.2f}** ({min(worst):.2f}-{max(worst):.2f})",
            f"{median_of(rounds, 'high_milliseconds'):.2f}",
            f"{median_of(rounds, 'microseconds'):.2f}", f"{median_of(rounds, 'overhead'):.1f}",
        ])
    print_table(["server", "worst batch, ms of CPU (range)", "99.9 %, ms", "µs per key",
                 "overhead, bytes per key"], rows)


# ---------------------------------------------------------------------------- command line


def numbers(text):
    return [int(part) for part in text.split(",")]


def words(allowed):
    def parse(text):
        chosen = text.split(",")
        for word in chosen:
            if word not in allowed:
                raise argparse.ArgumentTypeError(f"{word} is none of {', '.join(allowed)}")
        return chosen
    return parse


def parse_options():
    parser = argparse.ArgumentParser(prog="bench-redis.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--quick", action="store_true", help="2 short rounds, fewer keys: a first look")
    add("--sections", type=words(SECTIONS), default=SECTIONS, help="comma-separated; default all")
    add("--commands", type=words(COMMANDS), default=COMMANDS, help="default get,set,incr")
    add("--pipelines", type=numbers, default=[1, 16, 64], help="default 1,16,64")
    add("--keys", type=numbers, help="default 100000,2000000 (quick: 100000)")
    add("--growth-keys", type=int, help="default 5000000 (quick: 500000)")
    add("--rounds", type=int, help="default 5 (quick: 2); growth included")
    add("--seconds", type=float, help="length of a sample, default 1 (quick: 0.3)")
    add("--cores", type=numbers, help="the two cores to use, default the first two allowed")
    add("--port", type=int, default=23900, help="first port to try, default 23900")
    add("--ferrum", default=str(ROOT / "target/release/ferrum-kv"),
        help="the ferrum-kv to measure; default: build this tree")
    add("--redis", default="redis-server")
    add("--benchmark", default="redis-benchmark")
    options = parser.parse_args()
    quick = options.quick
    options.keys = options.keys or ([100_000] if quick else [100_000, 2_000_000])
    options.growth_keys = options.growth_keys or (500_000 if quick else 5_000_000)
    options.rounds = options.rounds or (2 if quick else 5)
    options.seconds = options.seconds or (0.3 if quick else 1.0)
    options.cores = options.cores or sorted(os.sched_getaffinity(0))[:2]
    options.ferrum = str(Path(options.ferrum).resolve())
    if len(options.cores) < 2:
        parser.error("two cores are needed")
    return options


def main():
    options = parse_options()
    print("## ferrum-kv against redis-server\n")
    print(f"{time.strftime('%Y-%m-%d')}, {processor_name()}, {os.cpu_count()} cores, "
          f"Linux {os.uname().release}; {first_line(options.redis, '--version').split(' sha')[0]}; "
          f"{first_line(options.ferrum, '--version')}; {options.rounds} rounds of "
          f"{options.seconds:g} s samples, {CLIENTS} connections, {VALUE_BYTES}-byte values. "
          "µs are processor time of the server per operation; ratios are the second over the "
          "first, paired by round, median (least-greatest).\n", flush=True)
    sections = {"onecore": onecore, "free": free, "scaling": scaling, "growth": growth}
    for name, section in sections.items():
        if name in options.sections:
            section(options)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
