"""How every command begins and ends: flags in, one summary out, an exit code."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl import app, flags

DONE, FAILED, WRONG_USAGE, DONE_WITH_SKIPS = 0, 1, 2, 3

_HELP = {"--help", "-help", "-h", "--helpfull", "--helpshort"}
_COMMON_FLAGS = "--flagfile=FILE reads flags from a file, one a line; # for comments."


class UsageError(Exception):
    """The command line is wrong; the message says how."""


def run(main: Callable[[Sequence[str]], int]) -> NoReturn:
    """Parses the flags, calls ``main`` with the other arguments, and exits.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done with skips. Errors that a user
    can mend (ValueError, OSError) are one message without a traceback. ``--help``
    shows the docstring of ``main``'s module and every flag of the package.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may hold what the terminal cannot show.
        sys.stdout.reconfigure(errors="backslashreplace")
    if _HELP.intersection(sys.argv[1:]):
        print(_help_text(sys.modules[main.__module__].__doc__ or ""))
        raise SystemExit(DONE)
    app.run(lambda arguments: _guarded(main, arguments), flags_parser=_parse_flags)
    raise SystemExit(FAILED)  # for type checkers: app.run does not return


def _help_text(description: str) -> str:
    # absl's own --help exits with 1 and finds no flags of an installed command.
    names = flags.FLAGS.flags_by_module_dict()
    ours = [n for n in names if n.startswith("tfdicom") or n == sys.argv[0]]
    listed = [flags.FLAGS.module_help(name).partition("\n")[2] for name in sorted(ours)]
    return "\n".join([description + "Flags:", *listed, "", _COMMON_FLAGS])


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
