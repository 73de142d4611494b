"""How every command begins and ends: flags in, one summary out, an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl import app, flags

DONE, FAILED, WRONG_USAGE, DONE_WITH_SKIPS = 0, 1, 2, 3


class UsageError(Exception):
    """The command line is wrong; the message says how."""


def run(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Parses the flags, calls ``main`` with the other arguments, and exits.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done with skips. Errors that a user
    can mend (ValueError, OSError) are one message without a traceback.
    """
    app.run(lambda arguments: _guarded(main, arguments), flags_parser=_parse_flags)
    raise AssertionError("app.run does not return")


def _parse_flags(arguments: Sequence[str]) -> list[str]:
    try:
        return flags.FLAGS(list(arguments))
    except flags.Error as error:
        _fail(str(error), WRONG_USAGE)


def _guarded(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    try:
        return main(arguments[1:])
    except UsageError as error:
        _fail(str(error), WRONG_USAGE)
    except (ValueError, OSError, RuntimeError) as error:
        _fail(str(error), FAILED)
    except KeyboardInterrupt:
        _fail("interrupted; nothing half-written is left", FAILED)


def _fail(message: str, code: int) -> NoReturn:
    print(f"Error: {message}", file=sys.stderr)
    if code == WRONG_USAGE:
        print("Try --help.", file=sys.stderr)
    raise SystemExit(code)
