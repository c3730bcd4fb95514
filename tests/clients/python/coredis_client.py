"""coredis, which speaks RESP3 alone, against a running server: python coredis_client.py HOST PORT"""

import asyncio
import sys

import coredis

from checks import check, check_between

BINARY = bytes(range(256)) + b"\r\n\0$-1\r\n"
PATIENCE_SECONDS = 60


async def strings(client):
    check("set", await client.set("k", BINARY), True)
    check("get", await client.get("k"), BINARY)
    check("get of nothing", await client.get("nope"), None)
    check("mset", await client.mset({"a": 1, "b": 2}), True)
    check("mget", await client.mget(["a", "nope", "b"]), (b"1", None, b"2"))
    check("incr", await client.incrby("a", 41), 42)
    check("incrbyfloat", await client.incrbyfloat("a", 0.5), 42.5)
    check("exists", await client.exists(["a", "b", "nope"]), 2)
    check("delete", await client.delete(["a", "b"]), 2)
    check("append", await client.append("s", "text"), 4)
    check("dbsize", await client.dbsize(), 2)
    check("expire", await client.expire("s", 100), True)
    check_between("ttl", await client.ttl("s"), 90, 100)
    check("persist", await client.persist("s"), True)


async def transactions(client):
    async with client.pipeline(transaction=True) as pipeline:
        replies = [pipeline.set("n", 1), pipeline.incr("n"), pipeline.mget(["n", "nope"])]
    check("a transaction", [await reply for reply in replies], [True, 2, (b"2", None)])


async def pub_sub(client):
    async with client.pubsub(channels=["news"], ignore_subscribe_messages=True) as listener:
        while (await client.pubsub_numsub("news"))[b"news"] == 0:
            await asyncio.sleep(0.02)
        check("receivers", await client.publish("news", BINARY), 1)
        message = None
        while message is None:
            # None as well for the confirmation that is left out; the whole run has a limit.
            message = await listener.get_message(timeout=1)
        check("a message", [message["channel"], message["data"]], [b"news", BINARY])


async def run(host, port):
    client = coredis.Redis(host=host, port=port)
    async with client:
        for topic in [strings, transactions, pub_sub]:
            await client.flushall()
            await topic(client)


asyncio.run(asyncio.wait_for(run(sys.argv[1], int(sys.argv[2])), PATIENCE_SECONDS))
print(f"coredis {coredis.__version__}, RESP3: ok")
