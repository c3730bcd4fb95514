"""Django's cache on a running server: python django_cache.py HOST PORT

As an application has it: settings, then `django.core.cache.cache`, whose values are pickled but for
integers, which are counters of the server.
"""

import datetime
import sys

import django
from django.conf import settings

from checks import check, check_between, check_raises, wait_until

HOST, PORT = sys.argv[1], int(sys.argv[2])
BACKEND = "django.core.cache.backends.redis.RedisCache"

settings.configure(
    CACHES={
        "default": {"BACKEND": BACKEND, "LOCATION": f"redis://{HOST}:{PORT}/0",
                    "KEY_PREFIX": "site", "VERSION": 2},
        "other": {"BACKEND": BACKEND, "LOCATION": f"redis://{HOST}:{PORT}",
                  "OPTIONS": {"db": "7"}, "TIMEOUT": None},
    },
    INSTALLED_APPS=["django.contrib.sessions"],
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    SECRET_KEY="no secret",
    USE_TZ=True,
)
django.setup()

# What needs settings is imported after them.
from django.contrib.sessions.backends.cache import SessionStore  # noqa: E402
from django.core.cache import cache, caches  # noqa: E402

VALUE = {"when": datetime.datetime(2024, 2, 29), "who": ["Zoë", b"\0\r\n", None, 1.5]}


def client():
    return cache._cache.get_client()


def values():
    cache.set("value", VALUE)
    check("get", cache.get("value"), VALUE)
    check("a key of the server", client().exists("site:2:value"), 1)
    check("get of nothing", [cache.get("nope"), cache.get("nope", "default")], [None, "default"])
    check("none is a value", [cache.set("none", None), cache.get("none", "d")], [None, None])
    check("add", [cache.add("value", 1), cache.add("fresh", 2)], [False, True])
    check("get or set", cache.get_or_set("lazy", lambda: [1, 2]), [1, 2])
    check("has key", [cache.has_key("fresh"), "nope" in cache], [True, False])
    check("delete", [cache.delete("fresh"), cache.delete("fresh")], [True, False])
    check("versions", [cache.set("value", "third", version=3), cache.get("value", version=3),
                       cache.get("value") == VALUE], [None, "third", True])
    check("next version", cache.incr_version("lazy"), 3)
    check("it has moved", [cache.get("lazy"), cache.get("lazy", version=3)], [None, [1, 2]])


def many():
    wanted = {f"key:{index}": index * 2 for index in range(1_000)} | {"text": "t", "value": VALUE}
    check("set many", cache.set_many(wanted, timeout=100), [])
    check("get many", cache.get_many([*wanted, "nope"]), wanted)
    check_between("their deadline", client().ttl("site:2:value"), 90, 100)
    cache.delete_many(["text", "key:0", "nope"])
    check("the rest", len(cache.get_many(wanted)), len(wanted) - 2)


def counters():
    cache.set("n", 1)
    check("incr", [cache.incr("n"), cache.incr("n", 40), cache.decr("n", 2)], [2, 42, 40])
    check("still a number", cache.get("n"), 40)
    check_raises("incr of nothing", ValueError, "not found", lambda: cache.incr("nope"))


def deadlines():
    cache.set("short", 1, timeout=0.05)
    wait_until("it expires", lambda: cache.get("short") is None)
    cache.set("usual", 1)
    check_between("the default timeout", client().ttl("site:2:usual"), 290, 300)
    cache.set("forever", 1, timeout=None)
    check("no deadline", client().ttl("site:2:forever"), -1)
    check("touch", [cache.touch("forever", 50), cache.touch("nope", 50)], [True, False])
    check_between("touched", client().ttl("site:2:forever"), 40, 50)
    check("touch for ever", [cache.touch("forever", None), client().ttl("site:2:forever")],
          [True, -1])
    cache.set("gone", 1, timeout=0)
    check("a timeout of nothing", cache.get("gone"), None)


def databases():
    other = caches["other"]
    other.set("k", "seven")
    check("databases are apart", [cache.get("k"), other.get("k")], [None, "seven"])
    cache.clear()
    check("clear", [client().dbsize(), other.get("k")], [0, "seven"])
    other.clear()


def sessions():
    session = SessionStore()
    session["cart"] = [1, 2, 3]
    session.save()
    again = SessionStore(session.session_key)
    check("a session", [again["cart"], again.exists(session.session_key)], [[1, 2, 3], True])
    again.flush()
    check("it has ended", SessionStore().exists(session.session_key), False)


for topic in [values, many, counters, deadlines, databases, sessions]:
    cache.clear()
    topic()
print(f"Django {django.__version__}: ok")
