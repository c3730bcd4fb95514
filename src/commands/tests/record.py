#!/usr/bin/env python3
"""Records what a Redis server answers to the commands in replies.txt.

    record.py HOST:PORT < replies.txt > replies.new

The lines that start with '>' are sent to a Redis 7.0 server as inline commands, once in RESP2 and
once in RESP3; each is followed by the two replies. Comments and blank lines are kept; a blank line
starts a new connection to empty databases. The server's keys are deleted: use one without any.
"""

import re
import socket
import sys


class Connection:
    def __init__(self, address, protocol):
        self.socket = socket.create_connection(address)
        self.stream = self.socket.makefile("rb")
        self.ask("FLUSHALL")
        self.ask(f"HELLO {protocol}")

    def ask(self, command):
        self.socket.sendall(command.encode() + b"\r\n")
        reply = re.sub(rb"\$2\r\nid\r\n:\d+", rb"$2\r\nid\r\n:7", self.reply())
        return reply.decode("latin1").encode("unicode_escape").decode()

    def reply(self):
        head = self.stream.readline()
        kind, number = head[:1], head[1:-2]
        if number == b"-1":
            return head
        if kind in (b"$", b"="):
            return head + self.stream.read(int(number) + 2)
        elements = {b"*": 1, b"~": 1, b">": 1, b"%": 2}.get(kind, 0)
        return head + b"".join(self.reply() for _ in range(elements and elements * int(number)))


def record(address, scenario):
    commands = [line[1:].strip() for line in scenario if line.startswith(">")]
    answers = []
    for protocol in (2, 3):
        connection = Connection(address, protocol)
        answers.append([connection.ask(command) for command in commands])
    pairs = iter(zip(*answers))
    for line in scenario:
        if line.startswith(">"):
            resp2, resp3 = next(pairs)
            print(line, f"2 {resp2}", f"3 {resp3}", sep="\n")
        elif line.startswith("#"):
            print(line)


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    scenarios = sys.stdin.read().rstrip("\n").split("\n\n")
    for number, scenario in enumerate(scenarios):
        if number > 0:
            print()
        record((host, int(port)), scenario.split("\n"))


main()
