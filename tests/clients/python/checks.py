"""What every driver checks with: the first check that fails ends the program with exit code 1."""

import sys
import time

PATIENCE_SECONDS = 60


def check(what, got, expected):
    if got != expected:
        sys.exit(f"{what}: got {got!r:.600}, expected {expected!r:.600}")


def check_between(what, got, low, high):
    if not low <= got <= high:
        sys.exit(f"{what}: got {got!r}, expected {low!r} to {high!r}")


def check_contains(what, text, *parts):
    for part in parts:
        if part not in text:
            sys.exit(f"{what}: no {part!r} in {text!r:.2000}")


def check_raises(what, kind, part, action):
    """The action fails with such an error, whose text contains the part."""
    try:
        got = action()
    except kind as error:
        check_contains(what, str(error), part)
    else:
        sys.exit(f"{what}: no error but {got!r:.600}")


def wait_until(what, condition):
    """Waits until the condition gives something true, and returns that."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    sys.exit(f"waited in vain: {what}")
