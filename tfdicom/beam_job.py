"""The process in which a Beam pipeline is submitted, and on some runners also runs.

It is one of its own because a local runner one of whose workers was killed waits for
ever: what waits can be ended. It ends itself, its workers and its job when its standard
input closes, so that nothing goes on after the one that started it has died.
"""

from __future__ import annotations

import argparse
import functools
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any, NoReturn

from tfdicom import beam_folder, files
from tfdicom.beam_worker import do_piece

_SECONDS_TO_CANCEL = 30.0
_SECONDS_TO_ANSWER = 30.0
#: Exit status where the arguments are not Beam's, and where no job server answers.
WRONG_ARGUMENTS, NO_SERVER = 2, os.EX_UNAVAILABLE
_result: Any = None


def main() -> None:
    """Runs ``FOLDER COUNT ARGUMENT...``: pieces 0 to COUNT - 1 of the folder."""
    folder, count, *arguments = sys.argv[1:]
    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
    run(folder, int(count), arguments)


def run(folder: str, count: int, arguments: Sequence[str]) -> None:
    """Runs the pipeline to its end.

    Raises:
      SystemExit: The arguments are not Beam's, or no job server answers.
      Exception: The pipeline failed.
    """
    import apache_beam as beam

    global _result
    options = _options(arguments)
    _wait_for_server(options)
    pipeline = beam.Pipeline(options=options)
    pieces = pipeline | "Pieces" >> beam.Create(range(count))
    spread = pieces | "Spread" >> beam.Reshuffle()
    _ = spread | "Work" >> beam.Map(functools.partial(do_piece, folder))
    _result = pipeline.run()
    _result.wait_until_finish()


def _options(arguments: Sequence[str]) -> Any:
    """Beam's options; those unknown are refused where nobody else may know them."""
    from apache_beam.options import pipeline_options

    options = pipeline_options.PipelineOptions(list(arguments))
    chosen = options.view_as(pipeline_options.StandardOptions)
    if (chosen.runner or "DirectRunner") == "DirectRunner":
        _refuse_unknown(pipeline_options.PipelineOptions, arguments)
        # Else it would first download a runner and run that.
        options.view_as(pipeline_options.TypeOptions).allow_unsafe_triggers = True
    return options


def _wait_for_server(options: Any) -> None:
    """Makes sure that the job server answers; Beam would wait for it ten times longer.

    Raises:
      SystemExit: It does not.
    """
    from apache_beam.options import pipeline_options
    from apache_beam.runners.portability import job_server

    endpoint = options.view_as(pipeline_options.PortableOptions).job_endpoint
    if not endpoint or endpoint == "embed":
        return
    try:
        job_server.ExternalJobServer(endpoint, _SECONDS_TO_ANSWER).start()
    except Exception as error:  # of gRPC, which has kinds of its own
        limit = f"{_SECONDS_TO_ANSWER:.0f} s"
        print(f"no job server answered at {endpoint} within {limit}")
        raise SystemExit(NO_SERVER) from error


def _refuse_unknown(options: Any, arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser("beam_args", allow_abbrev=False, add_help=False)
    for one in options.__subclasses__():
        one._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(list(arguments))
    if unknown:
        print(f"unknown to Beam: {' '.join(unknown)}", file=sys.stderr)
        raise SystemExit(WRONG_ARGUMENTS)


def _end_with_parent(folder: str) -> NoReturn:
    while os.read(0, 1024):  # sys.stdin may be locked when Python ends
        pass
    limit = threading.Timer(_SECONDS_TO_CANCEL, _end)
    limit.daemon = True
    limit.start()
    try:
        if _result is not None:
            _result.cancel()
        beam_folder.remove(files.path_of(folder))
    finally:
        _end()


def _end() -> NoReturn:
    os.killpg(os.getpgrp(), signal.SIGKILL)
    raise SystemExit  # for type checkers
