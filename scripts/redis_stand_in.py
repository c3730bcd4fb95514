#!/usr/bin/env python3
"""redis-server behind the command line of ferrum-kv, to try the tests of the log on it.

    FERRUM_TEST_PROGRAM=scripts/redis_stand_in.py cargo test --test crash

A test that fails on redis-server, where both should do the same, is a wrong test. The log named by
--aof-path becomes a symbolic link to the one increment in a folder of redis-server's own, so that a
test can read it, cut it and damage it; a rewrite by redis-server breaks the link.
"""
import os
import socket
import sys
import time


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def adopt(path):
    """Makes a folder for redis-server whose only part is the log; returns the folder's name."""
    folder, name = path + ".redis", os.path.basename(path)
    part = os.path.join(folder, "log.1.incr.aof")
    os.makedirs(folder, exist_ok=True)
    if not os.path.islink(path):
        if os.path.exists(path):
            os.rename(path, part)
        else:
            open(part, "ab").close()
        os.symlink(part, path)
        with open(os.path.join(folder, "log.manifest"), "w") as manifest:
            manifest.write("file log.1.incr.aof seq 1 type i\n")
    return name + ".redis"


def announce(port):
    """Says where this process listens as soon as it does; from a process of its own."""
    server = os.getpid()
    if os.fork() > 0:
        return
    while True:
        with open(f"/proc/{server}/stat") as status:
            if status.read().rsplit(")", 1)[1].split()[0] in "ZX":
                os._exit(0)
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.002)
    line = f"FerrumKV 0.0.0 on 127.0.0.1:{port}: redis-server in its place\n"
    os.write(2, line.encode())
    os._exit(0)


def main():
    words = sys.argv[1:]
    if words and words[0] == "check":
        os.execvp("redis-check-aof", ["redis-check-aof"] + words[1:2])
    flags = {word[2:]: value for word, value in zip(words[::2], words[1::2])}
    port = int(flags.pop("addr", "127.0.0.1:0").rsplit(":", 1)[1]) or free_port()
    flags.pop("io-threads", None)
    flags.pop("loglevel", None)
    arguments = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    path = flags.pop("aof-path", None)
    if path:
        folder = adopt(path)
        arguments += ["--appendonly", "yes", "--dir", os.path.dirname(path), "--appendfilename",
                      "log", "--appenddirname", folder, "--aof-use-rdb-preamble", "no"]
    for name, value in flags.items():
        arguments += ["--" + name, value]
    os.dup2(2, 1)
    announce(port)
    os.execvp("redis-server", arguments)


main()
