"""How every command begins and ends: flags in, one summary out, an exit code."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NoReturn, TextIO

from absl import app, flags

from tfdicom import interrupts

DONE, FAILED, WRONG_USAGE, DONE_WITH_SKIPS = 0, 1, 2, 3

_HELP = {"--help", "-help", "-h", "--helpfull", "--helpshort"}
_COMMON_FLAGS = "--flagfile=FILE reads flags from a file, one a line; # for comments."
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)


class UsageError(Exception):
    """The command line is wrong; the message says how."""


def run(
    main: Callable[[Sequence[str]], int],
    *,
    resumes: bool = False,
    output: Callable[[Sequence[str]], AbstractContextManager] | None = None,
) -> NoReturn:
    """Parses the flags, calls ``main`` with the other arguments, and exits.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done with skips. Errors that a user
    can mend (ValueError, OSError) are one message without a traceback. ``--help``
    shows the docstring of ``main``'s module and every flag of the package. Ctrl-C and
    SIGTERM let ``main`` clean up (KeyboardInterrupt); a second one does not wait.

    Args:
      main: Takes the arguments that are no flags, and returns the exit code.
      resumes: Whether the same command continues what was interrupted.
      output: Makes of the command line what lasts while anything is printed, errors in
        the command line included.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may hold what the terminal cannot show.
        sys.stdout.reconfigure(errors="backslashreplace")
    if _HELP.intersection(sys.argv[1:]):
        print(_help_text(sys.modules[main.__module__].__doc__ or ""))
        raise SystemExit(DONE)
    interrupts.end_at_once(resumes=resumes)
    with output(sys.argv[1:]) if output else contextlib.nullcontext():
        app.run(
            lambda arguments: _guarded(main, arguments, resumes),
            flags_parser=_parse_flags,
        )
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


def _guarded(
    main: Callable[[Sequence[str]], int], arguments: Sequence[str], resumes: bool
) -> int:
    try:
        interrupts.clean_up_first(resumes=resumes)
        code = main(arguments[1:])
        sys.stdout.flush()
        interrupts.handle_by(signal.SIG_IGN)  # it is done
        return code
    except UsageError as error:
        _fail(str(error), WRONG_USAGE)
    except MemoryError as error:
        hint = "Give fewer --num_workers, or the machine more memory"
        _fail(f"out of memory ({error}). {hint}", FAILED)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and not _is_read(sys.stdout):
            raise SystemExit(FAILED) from None  # nobody reads on, as behind `| head`
        _fail(_told(error, resumes), FAILED)
    except (ValueError, RuntimeError) as error:
        _fail(str(error), FAILED)
    except KeyboardInterrupt:
        # All is cleaned up; one more would only spoil the exit code.
        interrupts.handle_by(signal.SIG_IGN)
        _fail(interrupts.message(resumes=resumes), FAILED)


def _is_read(output: TextIO) -> bool:
    """Whether somebody takes what is printed; else it goes nowhere from now on."""
    poll = select.poll()
    poll.register(output.fileno(), select.POLLOUT)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return True
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), output.fileno())
    return False


def _told(error: OSError, resumes: bool) -> str:
    """What failed, where, and what to do."""
    where = "" if error.filename is None else f"{error.filename}: "
    again = "run the command again"
    if resumes:
        again = f"run the command again: it {interrupts.GOES_ON}"
    if error.errno in _FULL:
        what = "no space is left"
        hint = f"Make room there, and {again}"
    elif error.errno == errno.EFBIG:
        what = "it would be larger than a file may be there"
        hint = f"Raise the limit (ulimit -f), or name another folder, and {again}"
    elif error.errno in _FORBIDDEN:
        what = "it cannot be read or written"
        hint = f"Allow it to this user, or name another folder, and {again}"
    else:
        return str(error)
    return f"{where}{what} ({error.strerror}). {hint}"


def _fail(message: str, code: int) -> NoReturn:
    print(f"Error: {message}", file=sys.stderr)
    if code == WRONG_USAGE:
        print("Try --help.", file=sys.stderr)
    raise SystemExit(code)
