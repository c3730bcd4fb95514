"""redis-benchmark on a running server, without a warning: python redis_benchmark.py HOST PORT"""

import sys

from programs import Aimed

from checks import check, check_contains

HOST, PORT = sys.argv[1], sys.argv[2]
benchmark = Aimed("redis-benchmark", HOST, PORT)
cli = Aimed("redis-cli", HOST, PORT)

# The tests of redis-benchmark, each with a command it needs; it leaves out none by itself.
TESTS = {"ping_inline": "ping", "ping_mbulk": "ping", "set": "set", "get": "get", "incr": "incr",
         "mset": "mset", "lpush": "lpush", "sadd": "sadd", "hset": "hset", "spop": "spop",
         "zadd": "zadd"}


def run(*arguments):
    text = benchmark("-q", *arguments).replace("\r", "\n")
    for word in ["WARN", "warning", "rror", "Could not"]:
        check(f"no {word!r} in\n{text}", word in text, False)
    return text


def tests_of_commands_there_are():
    known = set(cli("command", "list").split())
    tests = [test for test, command in TESTS.items() if command in known]
    for options in [[], ["-P", "16", "--threads", "2"], ["-r", "1000", "-P", "64"], ["-3"],
                    ["-c", "5"], ["--dbnum", "3"], ["-d", "10000"]]:
        text = run("-n", "2000", "-t", ",".join(tests), *options)
        check(f"{options}: a line a test", text.count("requests per second"), len(tests))


def other_forms():
    check_contains("a command", run("-n", "1000", "-r", "100", "append", "k:__rand_int__", "x"),
                   "requests per second")
    check_contains("csv", run("-n", "1000", "-t", "get", "--csv"), '"test","rps"', '"GET"')
    check_contains("precision", run("-n", "1000", "-t", "set", "--precision", "3"), "p50=")


def with_a_password():
    cli("config", "set", "requirepass", "secret")
    text = run("-a", "secret", "-n", "1000", "-t", "set,get", "-P", "16", "--threads", "2")
    check("tests", text.count("requests per second"), 2)
    text = run("-u", f"redis://default:secret@{HOST}:{PORT}", "-n", "1000", "-t", "get")
    check("tests", text.count("requests per second"), 1)
    cli("--no-auth-warning", "-a", "secret", "config", "set", "requirepass", "")


cli("flushall")
for topic in [tests_of_commands_there_are, other_forms, with_a_password]:
    topic()
cli("flushall")
print(f"{benchmark('--version').strip()}: ok")
