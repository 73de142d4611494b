"""What a worker of Beam does: one piece of the work after another.

The work itself is done in a process beside Beam's, so that a crash in a decoder is
noticed, tried again and then listed, as on one machine; Beam would end the whole run.
"""

from __future__ import annotations

import threading

from tfdicom import beam_folder, files
from tfdicom.beam_folder import Failure
from tfdicom.lone_worker import LoneWorker

_ours = threading.local()


def do_piece(folder: str, piece: int) -> None:
    """Does a piece and writes what came of it, also if that is an error.

    Raises:
      FileNotFoundError: The folder is not to be seen from here.
    """
    path = files.path_of(folder)
    try:
        items = beam_folder.read_items(path, piece)
        worker = _worker(folder)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"a Beam worker does not see {folder}: give --temp_location=... in "
            "--beam_args, a folder that all machines reach"
        ) from error
    found: list | Failure
    try:
        answers = [worker.do(item) for item in items]
    except Exception as error:  # whatever it is, the one who waits raises it
        found, done = Failure(error, str(error.__cause__ or "")), 0
    else:
        found, done = [one for one, _ in answers], sum(count for _, count in answers)
    beam_folder.write_results(path, piece, found, done)


def _worker(folder: str) -> LoneWorker:
    """The process of this thread."""
    if getattr(_ours, "folder", None) != folder:
        rest()
        function, on_death = beam_folder.read_function(files.path_of(folder))
        _ours.worker, _ours.folder = LoneWorker(function, on_death), folder
    return _ours.worker


def rest() -> None:
    """Ends the process of this thread, if there is one."""
    if worker := getattr(_ours, "worker", None):
        worker.close()
    _ours.worker = _ours.folder = None
