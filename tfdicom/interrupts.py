"""What Ctrl-C and SIGTERM do to a command, from its first moment on.

Nothing here takes time to import: a command that is stopped while it imports the rest
ends in one line, as later.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable
from typing import Any, NoReturn

_INTERRUPTED = "interrupted; nothing half-written is left"
#: What the same command does, in messages.
GOES_ON = "continues where it stopped"
_FAILED = 1


def message(*, resumes: bool) -> str:
    """What is said at the end.

    Args:
      resumes: Whether the same command continues what was interrupted.
    """
    return (
        f"{_INTERRUPTED}, and the same command {GOES_ON}" if resumes else _INTERRUPTED
    )


def handle_by(handler: Callable[[int, Any], None] | signal.Handlers) -> None:
    """Sets the handler of both signals."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # Who is started with it ignored (nohup, a script's &) is to go on ignoring it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def end_at_once(*, resumes: bool = False) -> None:
    """Lets both end the process in one line; for when there is nothing to clean up."""
    handle_by(functools.partial(_leave, resumes))


def clean_up_first(*, resumes: bool = False) -> None:
    """Lets the first of them raise KeyboardInterrupt; a second one does not wait."""
    handle_by(functools.partial(_interrupt, resumes))


def _interrupt(resumes: bool, number: int, frame: Any) -> None:
    end_at_once(resumes=resumes)
    raise KeyboardInterrupt


def _leave(resumes: bool, number: int, frame: Any) -> NoReturn:
    # Printing may be what was interrupted; workers end with this process.
    os.write(2, f"Error: {message(resumes=resumes)}\n".encode())
    os._exit(_FAILED)
