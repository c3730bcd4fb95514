"""Running the programs that come with Redis, aimed at a server: to their end, or on a terminal."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

# For the checks that the drivers of the Python libraries use too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))

from checks import PATIENCE_SECONDS  # noqa: E402

COLUMNS = 200
ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Aimed:
    """A program of Redis with the options that aim it at one server."""

    def __init__(self, program, host, port):
        self.start = [program, "-h", host, "-p", str(port)]

    def __call__(self, *arguments, text="", expected_code=0):
        """What it prints, errors included, given a text to read."""
        done = subprocess.run([*self.start, *arguments], input=text, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=PATIENCE_SECONDS)
        if done.returncode != expected_code:
            sys.exit(f"{arguments}: exit code {done.returncode}\n{done.stdout}")
        return done.stdout

    def on_a_terminal(self, *arguments):
        return Terminal([*self.start, *arguments])


class Terminal:
    """A program that believes it talks with a person."""

    def __init__(self, command):
        self.received = ""
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            environment = {**os.environ, "TERM": "xterm", "HOME": "/nonexistent"}
            os.execvpe(command[0], command, environment)
        size = struct.pack("HHHH", 50, COLUMNS, 0, 0)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, size)

    def type(self, text):
        os.write(self.terminal, text.encode())

    def wait_for(self, what, is_there):
        """Reads until what has been printed, colours apart, is as wanted; returns it."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            output = ESCAPES.sub("", self.received)
            if is_there(output):
                return output
            readable = select.select([self.terminal], [], [], max(0, end - time.monotonic()))[0]
            if not readable:
                sys.exit(f"waited in vain: {what}, in {output[-2000:]!r}")
            try:
                self.received += os.read(self.terminal, 65536).decode(errors="replace")
            except OSError:
                sys.exit(f"it ended: {what}, in {output[-2000:]!r}")

    def end(self):
        os.kill(self.child, 9)
        os.waitpid(self.child, 0)
        os.close(self.terminal)
