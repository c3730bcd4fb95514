"""redis-py against a running server, over RESP2 and RESP3: python redis_py.py HOST PORT"""

import sys
import threading
import time
import warnings

import redis
from redis.exceptions import LockError, LockNotOwnedError

from checks import check, check_between, check_contains, check_raises, wait_until

BINARY = bytes(range(256)) + b"\r\n\0$-1\r\n"
LARGE = bytes(5_000_000)
PIPELINE = 10_000


def again(client, db=0):
    """Another client like this one, in another database."""
    known = client.connection_pool.connection_kwargs
    return redis.Redis(known["host"], known["port"], db, protocol=known["protocol"])


def strings(client):
    check("ping", client.ping(), True)
    check("set", client.set("k", BINARY), True)
    check("get", client.get("k"), BINARY)
    check("get of nothing", client.get("nope"), None)
    check("setnx", [client.setnx("fresh", 1), client.setnx("fresh", 2)], [True, False])
    check("set xx", client.set("nope", 1, xx=True), None)
    check("set get", client.set("fresh", 3, get=True), b"1")
    check("getset", client.getset("fresh", 4), b"3")
    check("getdel", [client.getdel("fresh"), client.exists("fresh")], [b"4", 0])
    check("mset", client.mset({"a": 1, "b": "two", BINARY: "c"}), True)
    check("msetnx", client.msetnx({"a": 1, "fresh": 1}), False)
    check("mget", client.mget("a", "b", BINARY, "nope"), [b"1", b"two", b"c", None])
    check("append", [client.append("a", "0"), client.strlen("a")], [2, 2])
    check("ranges", [client.getrange("b", 0, 1), client.setrange("b", 3, "!")], [b"tw", 4])
    check("bits", [client.setbit("bits", 7, 1), client.getbit("bits", 7)], [0, 1])
    check("bitcount", [client.bitcount("bits"), client.bitpos("bits", 1)], [1, 7])
    check("exists", client.exists("a", "b", "nope", "a"), 3)
    check("type", client.type("a"), b"string")
    check("rename", [client.rename("a", "z"), client.copy("z", "a")], [True, True])
    check("delete", [client.delete("a", "nope"), client.unlink("b", "z")], [1, 2])
    check("dbsize", client.dbsize(), 3)
    check("large value", [client.set("large", LARGE), client.get("large") == LARGE], [True, True])
    check("echo", client.echo(BINARY), BINARY)
    check("scan", sorted(client.scan_iter()), sorted([b"k", BINARY, b"bits", b"large"]))
    check("scan of some", list(client.scan_iter(match="b*", count=100)), [b"bits"])
    check("keys", client.keys("lar*"), [b"large"])
    check("lcs", [client.set("x", "ohmytext"), client.set("y", "mynewtext")], [True, True])
    check("lcs", client.lcs("x", "y", len=True), 6)
    check("dump", client.restore("copy", 0, client.dump("x")), b"OK")
    check("restored", client.get("copy"), b"ohmytext")
    check_raises("incr of bytes", redis.ResponseError,
                 "value is not an integer or out of range", lambda: client.incr("k"))


def counters(client):
    got = [client.incr("n"), client.incrby("n", 10), client.decr("n", 4), client.decrby("n", 2)]
    check("counters", got, [1, 11, 7, 5])
    check("incrbyfloat", client.incrbyfloat("n", 0.5), 5.5)
    pipeline = client.pipeline(transaction=False)
    for index in range(PIPELINE):
        pipeline.set(f"key:{index}", index)
        pipeline.incr(f"key:{index}")
    replies = pipeline.execute()
    check("pipeline", replies[1::2], list(range(1, PIPELINE + 1)))


def deadlines(client):
    check("setex", client.setex("k", 100, "v"), True)
    check_between("ttl", client.ttl("k"), 90, 100)
    check_between("pttl", client.pttl("k"), 90_000, 100_000)
    check("persist", [client.persist("k"), client.ttl("k"), client.ttl("nope")], [True, -1, -2])
    check("expire", [client.expire("k", 100), client.expire("k", 50, gt=True)], [True, False])
    deadline = int(time.time()) + 1_000
    check("expireat", [client.expireat("k", deadline), client.expiretime("k")], [True, deadline])
    check("set at", client.set("k", "w", pxat=deadline * 1_000 + 5), True)
    check("pexpiretime", client.pexpiretime("k"), deadline * 1_000 + 5)
    check("keepttl", [client.set("k", "x", keepttl=True), client.ttl("k") > 0], [True, True])
    check("getex", [client.getex("k", persist=True), client.ttl("k")], [b"x", -1])
    check("psetex", client.psetex("short", 20, "v"), True)
    wait_until("a key expires", lambda: client.get("short") is None)
    check("touch", client.touch("k", "short"), 1)


def transactions(client):
    # redis-py wraps a pipeline in MULTI and EXEC unless told otherwise.
    pipeline = client.pipeline()
    pipeline.set("account", 100).incrby("account", 10).get("account").mget("account", "nope")
    expected = [True, 110, b"110", [b"110", None]]
    check("a transaction", pipeline.execute(), expected)

    pipeline.watch("account")
    balance = int(pipeline.get("account"))
    client.decr("account")
    pipeline.multi()
    pipeline.set("account", balance + 1)
    try:
        pipeline.execute()
        sys.exit("a watched key was changed: no error")
    except redis.WatchError:
        check("a watched key", client.get("account"), b"109")

    attempts = []

    def transfer(pipe):
        balance = int(pipe.get("account"))
        if not attempts:
            client.incr("account")
        attempts.append(balance)
        pipe.multi()
        pipe.set("account", balance * 2)

    check("until it succeeds", client.transaction(transfer, "account"), [True])
    check("attempts", [attempts, client.get("account")], [[109, 110], b"220"])


def pub_sub(client):
    listener = client.pubsub()
    listener.subscribe("news", "weather")
    listener.psubscribe("n*s")
    messages = [next_message(listener) for _ in range(3)]
    check("confirmations", [(m["type"], m["channel"], m["data"]) for m in messages],
          [("subscribe", b"news", 1), ("subscribe", b"weather", 2), ("psubscribe", b"n*s", 3)])
    check("receivers", client.publish("news", BINARY), 2)
    expected = [
        {"type": "message", "pattern": None, "channel": b"news", "data": BINARY},
        {"type": "pmessage", "pattern": b"n*s", "channel": b"news", "data": BINARY},
    ]
    check("messages", [next_message(listener), next_message(listener)], expected)
    check("numsub", client.pubsub_numsub("news", "nope"), [(b"news", 1), (b"nope", 0)])
    check("numpat", client.pubsub_numpat(), 1)
    check("channels", sorted(client.pubsub_channels()), [b"news", b"weather"])
    listener.ping("are you there")
    check("pong", next_message(listener)["data"], b"are you there")
    listener.unsubscribe()
    listener.punsubscribe()
    kinds = [next_message(listener)["type"] for _ in range(3)]
    check("goodbyes", kinds, ["unsubscribe", "unsubscribe", "punsubscribe"])
    check("receivers left", client.publish("news", "x"), 0)
    listener.close()
    in_a_thread(client)


def in_a_thread(client):
    received = []
    listener = client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(**{"jobs": received.append})
    thread = listener.run_in_thread(sleep_time=0.01)
    wait_until("it listens", lambda: client.pubsub_numsub("jobs") == [(b"jobs", 1)])
    for index in range(100):
        check("publish", client.publish("jobs", index), 1)
    wait_until("all are received", lambda: len(received) == 100)
    check("in order", [int(message["data"]) for message in received], list(range(100)))
    thread.stop()
    thread.join()


def next_message(listener):
    return wait_until("a message", lambda: listener.get_message(timeout=1))


def locks(client):
    # The locks of redis-py run scripts to release; a server without scripts has what they are made
    # of: SET NX PX and a transaction over the watched key.
    name = "lock"
    check("taken", client.set(name, "one", nx=True, px=60_000), True)
    check("not taken", client.set(name, "two", nx=True, px=60_000), None)

    def release(pipe):
        if pipe.get(name) != b"one":
            raise LockNotOwnedError("not ours")
        pipe.multi()
        pipe.delete(name)

    check("released", client.transaction(release, name), [1])
    check("free again", client.set(name, "two", nx=True, px=20), True)
    check_raises("not released by others", LockError, "not ours",
                 lambda: client.transaction(release, name))
    wait_until("it is let go in time", lambda: client.set(name, "three", nx=True, px=60_000))
    holders(client)


def holders(client):
    """Threads that take a lock by turns: never two at once."""
    inside, most, done = [], [], []

    def work(number):
        for _ in range(20):
            token = f"{number}"
            wait_until("the lock", lambda: client.set("mutex", token, nx=True, px=60_000))
            inside.append(number)
            most.append(len(inside))
            inside.remove(number)
            client.delete("mutex")
        done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check("one at a time", [max(most), sorted(done)], [1, [0, 1, 2, 3]])


def lock_object(client):
    """The lock of the library itself, whose release is a script."""
    lock = client.lock("a lock", timeout=60, blocking_timeout=1)
    check("acquired", [lock.acquire(), lock.locked(), lock.owned()], [True, True, True])
    other = client.lock("a lock", timeout=60, blocking=False)
    check("not acquired", other.acquire(), False)
    if "evalsha" not in client.command():
        check_raises("release", redis.ResponseError, "unknown command", lock.release)
        return
    lock.release()
    check("acquired by another", other.acquire(), True)


def administration(client, protocol):
    check("config", client.config_get("databases"), {"databases": "16"})
    check("config set", client.config_set("slowlog-log-slower-than", 20_000), True)
    check("config get", client.config_get("slowlog-log-slower-*"),
          {"slowlog-log-slower-than": "20000"})
    check("config resetstat", client.config_resetstat(), True)
    # Text or bytes, as the protocol makes redis-py think.
    check("setname", client.client_setname("me"), True)
    check("getname", client.client_getname() in ("me", b"me"), True)
    check("client id", client.client_id() > 0, True)
    information(client)
    connections(client, protocol)
    check("slowlog", [client.slowlog_reset(), client.slowlog_get(), client.slowlog_len()],
          [True, [], 0])
    seconds, microseconds = client.time()
    check_between("time", seconds + microseconds / 1e6, time.time() - 60, time.time() + 60)
    check("command count", client.command_count() > 80, True)
    check("command", client.command()["get"]["arity"], 2)
    keys = client.command_getkeys("MSET", "a", 1, "b", 2)
    check("getkeys", keys in (["a", "b"], [b"a", b"b"]), True)
    check("acl whoami", client.acl_whoami() in ("default", b"default"), True)
    check("lastsave", client.lastsave().timestamp() > 0, True)
    check("memory usage", client.memory_usage("k") > 0, True)
    check("object", client.object("encoding", "k") in ("raw", b"raw"), True)
    check("role", client.role()[0] in ("master", b"master"), True)


def information(client):
    facts = client.info()
    check("info", facts["role"], "master")
    check("version", facts["redis_version"].split(".")[0], "7")
    check("keyspace", set(facts["db0"]), {"keys", "expires", "avg_ttl"})
    for name, kind in [("uptime_in_seconds", int), ("connected_clients", int),
                       ("used_memory", int), ("used_memory_human", str), ("maxmemory", int),
                       ("mem_fragmentation_ratio", (int, float)), ("loading", int),
                       ("total_commands_processed", int), ("instantaneous_ops_per_sec", int),
                       ("expired_keys", int), ("evicted_keys", int), ("keyspace_hits", int),
                       ("used_cpu_sys", (int, float)), ("aof_enabled", int),
                       ("rdb_last_bgsave_status", str), ("connected_slaves", int)]:
        check(f"{name} has its kind", isinstance(facts.get(name), kind), True)
    check("a section", "used_memory" in client.info("memory"), True)
    check("another is not there", "used_memory" in client.info("server"), False)
    client.ping()
    calls = client.info("commandstats")["cmdstat_ping"]
    check("calls", set(calls),
          {"calls", "usec", "usec_per_call", "rejected_calls", "failed_calls"})


def connections(client, protocol):
    own = client.client_id()
    lines = client.client_list()
    mine = [line for line in lines if int(line["id"]) == own]
    check("one line is this connection", len(mine), 1)
    mine = mine[0]
    check("its name", [mine["name"], mine["cmd"], mine["db"], mine["resp"], mine["user"]],
          ["me", "client|list", "0", str(protocol), "default"])
    for field in ["addr", "laddr", "fd", "age", "idle", "flags", "sub", "psub", "ssub", "multi",
                  "qbuf", "qbuf-free", "argv-mem", "multi-mem", "rbs", "rbp", "obl", "oll", "omem",
                  "tot-mem", "events", "redir"]:
        check(f"{field} is told", field in mine, True)
    check("client info", client.client_info()["id"] in (own, str(own)), True)
    victim = again(client)
    number = victim.client_id()
    check("kill", client.client_kill_filter(_id=number), 1)
    check("it is gone", number in [int(line["id"]) for line in client.client_list()], False)
    victim.close()


def databases(client):
    other = again(client, db=3)
    check("another database", [other.get("k"), other.set("k", "three")], [None, True])
    check("move", [client.move("k", 3), other.move("k", 4)], [False, True])
    check("swapdb", [client.swapdb(3, 4), other.get("k")], [True, b"three"])
    check("flushdb", [other.flushdb(), other.dbsize(), client.exists("k")], [True, 0, 1])
    other.close()


def notifications(client):
    check("notify", client.config_set("notify-keyspace-events", "KEA"), True)
    listener = client.pubsub(ignore_subscribe_messages=True)
    listener.psubscribe("__keyspace@0__:watched*")
    wait_until("it listens", lambda: client.pubsub_numpat() == 1 or None)
    client.set("watched", 1)
    client.incr("watched")
    client.pexpire("watched", 20)
    wait_until("it expires", lambda: client.get("watched") is None)
    events = [next_event(listener) for _ in range(4)]
    check("events", events, [b"set", b"incrby", b"expire", b"expired"])
    listener.close()
    client.config_set("notify-keyspace-events", "")


def next_event(listener):
    # None as well for the confirmation that is left out.
    return wait_until("an event", lambda: listener.get_message(timeout=1))["data"]


def run(host, port, protocol):
    client = redis.Redis(host=host, port=port, protocol=protocol)
    for topic in [strings, counters, deadlines, transactions, pub_sub, locks, lock_object,
                  databases, notifications]:
        client.flushall()
        client.set("k", BINARY)
        topic(client)
    client.flushall()
    client.set("k", BINARY)
    # One connection, for what is said of it.
    single = redis.Redis(host=host, port=port, protocol=protocol, single_connection_client=True)
    administration(single, protocol)
    check_contains("a connection of many", client.info("clients"), "connected_clients")
    single.close()
    client.close()


# Some commands are old to the library, but programs send them.
warnings.simplefilter("ignore", DeprecationWarning)

for version in (2, 3):
    run(sys.argv[1], int(sys.argv[2]), version)
    print(f"redis-py {redis.__version__}, RESP{version}: ok")
