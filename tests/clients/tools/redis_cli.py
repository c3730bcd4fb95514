"""Every mode of redis-cli on a running server: python redis_cli.py HOST PORT

A mode that needs what a server may lack (replication, scripts) has to end at once and say so.
"""

import sys

from programs import Aimed

from checks import check, check_between, check_contains, wait_until

HOST, PORT = sys.argv[1], sys.argv[2]
cli = Aimed("redis-cli", HOST, PORT)

KEYS = 1_000


def commands_in_every_form():
    check("ping", cli("ping"), "PONG\n")
    check("set", cli("-x", "set", "k", text="from a pipe"), "OK\n")
    check("get", cli("get", "k"), "from a pipe\n")
    check("csv", cli("--csv", "mget", "k", "nope"), '"from a pipe",NULL\n')
    check("json", cli("--json", "mget", "k", "nope"), '["from a pipe",null]\n')
    check("a map", cli("--json", "config", "get", "databases"), '{"databases":"16"}\n')
    check("a map of RESP2", cli("-2", "--json", "config", "get", "databases"),
          '["databases","16"]\n')
    check("quoted", cli("--quoted-input", "set", r'"a\x00b"', "v"), "OK\n")
    check("formatted", cli("--no-raw", "strlen", "k"), "(integer) 11\n")
    check("repeated", cli("-r", "3", "incr", "n"), "1\n2\n3\n")
    check("a database", cli("-n", "9", "dbsize"), "0\n")
    check("of a URI", Aimed.__call__(uri(), "dbsize"), "0\n")
    check("errors", cli("-e", "incr", "k", expected_code=1),
          "ERR value is not an integer or out of range\n")
    check_contains("verbatim", cli("-3", "info", "server"), "# Server", "redis_version:7")
    check_contains("hello", cli("hello", "3"), "proto 3", "mode standalone")
    check("from a file", cli(text="set a 1\nincrby a 41\nget a\n"), "OK\n42\n42\n")
    check_contains("in both protocols", cli("-2", "command", "docs", "get"), "summary")


def uri():
    aimed = Aimed("redis-cli", HOST, PORT)
    aimed.start = ["redis-cli", "-u", f"redis://{HOST}:{PORT}/8"]
    return aimed


def prompts_after(text):
    """Whether there is this text and then a prompt: only then redis-cli takes what is typed."""
    return lambda output: text in output and output.endswith(f"{PORT}> ")


def hints():
    terminal = cli.on_a_terminal()
    terminal.wait_for("a prompt", prompts_after(""))
    terminal.type("set ")
    terminal.wait_for("a hint", lambda output: "key value [NX|XX] [GET] [EX seconds" in output)
    terminal.type("hello world\r")
    terminal.wait_for("a reply", prompts_after("OK"))
    terminal.type("help getrange\r")
    help_text = terminal.wait_for("help", prompts_after("since: 2.4.0"))
    check_contains("help", help_text, "GETRANGE key start end", "summary:", "group: string")
    terminal.type("get hello\r")
    terminal.wait_for("the value", prompts_after('"world"'))
    terminal.type("subscribe news\r")
    terminal.wait_for("it listens", lambda output: '"subscribe"' in output)
    check("publish", cli("publish", "news", "it rains"), "1\n")
    terminal.wait_for("a message", lambda output: '"it rains"' in output)
    terminal.end()


def pushes_are_printed():
    terminal = cli.on_a_terminal("-3")
    terminal.wait_for("a prompt", prompts_after(""))
    terminal.type("psubscribe n*\r")
    terminal.wait_for("it listens", lambda output: '"psubscribe"' in output)
    check("publish", cli("publish", "news", "it snows"), "1\n")
    terminal.wait_for("a message", lambda output: '"it snows"' in output)
    terminal.end()


def monitor():
    terminal = cli.on_a_terminal("monitor")
    terminal.wait_for("it watches", lambda output: "OK" in output)
    cli("set", "seen", "1")
    terminal.wait_for("a command", lambda output: '"set" "seen" "1"' in output)
    terminal.end()


def mass_insertion():
    lines = "".join(f"SET key:{index} {index}\r\n" for index in range(KEYS))
    check_contains("pipe", cli("--pipe", text=lines), f"errors: 0, replies: {KEYS}")
    check_contains("errors are counted", cli("--pipe", text="SET k\r\n", expected_code=1),
                   "errors: 1, replies: 1")
    check("scan", len(cli("--scan", "--pattern", "key:*").split()), KEYS)


def looking_for_large_keys():
    cli("-x", "set", "large", text="x" * 100_000)
    text = cli("--bigkeys")
    check_contains("bigkeys", text, f"Sampled {KEYS + 1} keys in the keyspace!",
                   "Biggest string found '\"large\"' has 100000 bytes")
    text = cli("--memkeys")
    check_contains("memkeys", text, f"Sampled {KEYS + 1} keys", 'Biggest string found \'"large"\'')
    check_contains("memkeys of samples", cli("--memkeys-samples", "5"), '"large"')


def looking_for_hot_keys():
    text = cli("--hotkeys", expected_code=1)
    check_contains("hotkeys want LFU", text, "ERR An LFU maxmemory policy is not selected")
    check("a policy", cli("config", "set", "maxmemory-policy", "allkeys-lfu"), "OK\n")
    cli("-r", "200", "get", "key:7")
    check_contains("hotkeys", cli("--hotkeys"), "key:7", "hot key found with counter")
    cli("config", "set", "maxmemory-policy", "noeviction")


def latencies():
    low, high, mean, samples = cli("--latency", "-i", "0.2", "--csv").strip().split(",")
    check_between("latency", float(mean), int(low), int(high))
    check("samples", int(samples) > 0, True)
    # These go on for ever.
    terminal = cli.on_a_terminal("--latency-history", "-i", "0.2")
    terminal.wait_for("a second line", lambda output: output.count("seconds range") >= 2)
    terminal.end()
    terminal = cli.on_a_terminal("--latency-dist", "-i", "0.2")
    terminal.wait_for("a spectrum", lambda output: "From 0 to 100%" in output)
    terminal.end()
    terminal = cli.on_a_terminal("--stat", "-i", "0.1")
    output = terminal.wait_for("lines", lambda output: output.count("\n") > 5)
    terminal.end()
    keys, memory, clients, blocked = output.splitlines()[-2].split()[:4]
    check("stat", [int(keys) >= KEYS, memory[-1] in "KMG", int(clients) > 0, blocked],
          [True, True, True, "0"])


def cache_simulation():
    cli("config", "set", "maxmemory", "50mb", "maxmemory-policy", "allkeys-lru")
    terminal = cli.on_a_terminal("--lru-test", "1000")
    terminal.wait_for("hits and misses", lambda output: "Gets/sec" in output and "Hits" in output)
    terminal.end()
    wait_until("it has stored", lambda: int(cli("dbsize")) > 0)
    cli("config", "set", "maxmemory", "0", "maxmemory-policy", "noeviction")


def what_may_be_missing():
    known = cli("command", "list").split()
    if "sync" not in known:
        text = cli("--rdb", "/dev/null", expected_code=1)
        check_contains("rdb", text, "SYNC with master failed", "unknown command 'SYNC'")
        text = cli("--functions-rdb", "/dev/null", expected_code=1)
        check_contains("functions", text, "Failed requesting functions only RDB")
        check_contains("replica", cli("--replica", expected_code=1), "SYNC with master failed")
    if "eval" not in known:
        check_contains("eval", cli("--eval", "/dev/null"), "ERR unknown command 'EVAL'")
    text = cli("--cluster", "check", f"{HOST}:{PORT}", expected_code=1)
    check_contains("cluster", text, "is not configured as a cluster node")


def passwords():
    check("none", cli("auth", "x").startswith("ERR AUTH <password> called without any"), True)
    check("set", cli("config", "set", "requirepass", "secret"), "OK\n")
    check("refused", cli("ping"), "NOAUTH Authentication required.\n\n")
    check("let in", cli("--no-auth-warning", "-a", "secret", "ping"), "PONG\n")
    check("as a user", cli("--no-auth-warning", "--user", "default", "-a", "secret", "ping"),
          "PONG\n")
    check_contains("wrong", cli("--no-auth-warning", "-a", "wrong", "ping"), "WRONGPASS",
                   "NOAUTH")
    cli("--no-auth-warning", "-a", "secret", "config", "set", "requirepass", "")
    check("open again", cli("ping"), "PONG\n")


for topic in [commands_in_every_form, hints, pushes_are_printed, monitor, mass_insertion,
              looking_for_large_keys, looking_for_hot_keys, latencies, cache_simulation,
              what_may_be_missing, passwords]:
    check("flushall", cli("flushall"), "OK\n")
    if topic in (looking_for_large_keys, looking_for_hot_keys, latencies):
        mass_insertion()
    topic()
print(f"{cli('--version').strip()}: ok")
