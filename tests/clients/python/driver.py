"""Python clients against a running server: python driver.py HOST PORT

redis-py over RESP2 and RESP3, and coredis, which speaks RESP3 alone. Prints one line per client
that passed and ends with exit code 1 at the first check that did not.
"""

import asyncio
import sys

import coredis
import redis

BINARY = bytes(range(256)) + b"\r\n\0$-1\r\n"
LARGE = bytes(5_000_000)
PIPELINE = 10_000


def check(what, got, expected):
    if got != expected:
        sys.exit(f"{what}: got {got!r:.300}, expected {expected!r:.300}")


def redis_py(host, port, protocol):
    client = redis.Redis(host=host, port=port, protocol=protocol)
    client.flushall()
    check("ping", client.ping(), True)
    check("set", client.set("k", BINARY), True)
    check("get", client.get("k"), BINARY)
    check("get of nothing", client.get("nope"), None)
    check("setnx", [client.setnx("fresh", 1), client.setnx("fresh", 2)], [True, False])
    check("mset", client.mset({"a": 1, "b": "two", BINARY: "c"}), True)
    check("mget", client.mget("a", "b", BINARY, "nope"), [b"1", b"two", b"c", None])
    check("counters", [client.incr("n"), client.incrby("n", 10), client.decr("n", 4)], [1, 11, 7])
    check("append", [client.append("a", "0"), client.strlen("a")], [2, 2])
    check("exists", client.exists("a", "b", "nope", "a"), 3)
    check("type", client.type("a"), b"string")
    check("delete", [client.delete("a", "nope"), client.unlink("b")], [1, 1])
    check("dbsize", client.dbsize(), 4)
    check("large value", [client.set("large", LARGE), client.get("large") == LARGE], [True, True])
    check("config", client.config_get("databases"), {"databases": "16"})
    check("info", client.info()["role"], "master")
    # Text or bytes, as the protocol makes redis-py think.
    check("setname", client.client_setname("me"), True)
    check("getname", client.client_getname() in ("me", b"me"), True)
    check("echo", client.echo(BINARY), BINARY)

    pipeline = client.pipeline(transaction=False)
    for index in range(PIPELINE):
        pipeline.set(f"key:{index}", index)
        pipeline.incr(f"key:{index}")
    replies = pipeline.execute()
    check("pipeline", replies[1::2], list(range(1, PIPELINE + 1)))

    transactions(client)

    try:
        client.incr("k")
        sys.exit("incr of bytes: no error")
    except redis.ResponseError as error:
        check("error", str(error), "value is not an integer or out of range")

    other = redis.Redis(host=host, port=port, protocol=protocol, db=3)
    check("another database", [other.get("k"), other.set("k", "three")], [None, True])
    check("flushdb", [other.flushdb(), other.dbsize(), client.exists("k")], [True, 0, 1])
    other.close()
    client.close()


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


async def coredis_client(host, port):
    client = coredis.Redis(host=host, port=port)
    async with client:
        await client.flushall()
        check("set", await client.set("k", BINARY), True)
        check("get", await client.get("k"), BINARY)
        check("get of nothing", await client.get("nope"), None)
        check("mset", await client.mset({"a": 1, "b": 2}), True)
        check("mget", await client.mget(["a", "nope", "b"]), (b"1", None, b"2"))
        check("incr", await client.incrby("a", 41), 42)
        check("exists", await client.exists(["a", "b", "nope"]), 2)
        check("delete", await client.delete(["a", "b"]), 2)
        check("append", await client.append("s", "text"), 4)
        check("dbsize", await client.dbsize(), 2)


def main():
    host, port = sys.argv[1], int(sys.argv[2])
    for protocol in (2, 3):
        redis_py(host, port, protocol)
        print(f"redis-py {redis.__version__}, RESP{protocol}: ok")
    asyncio.run(coredis_client(host, port))
    print(f"coredis {coredis.__version__}, RESP3: ok")


main()
