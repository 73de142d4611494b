"""Which runner the options of a conversion ask for."""

from __future__ import annotations

from tfdicom import files, processes, stores
from tfdicom.beam_runner import BeamRunner
from tfdicom.convert_options import BEAM, ConvertOptions
from tfdicom.runners import LocalRunner, Runner


def runner_of(options: ConvertOptions) -> Runner:
    """The runner that the options ask for.

    Raises:
      ValueError: It needs what is not installed, or cannot see the folders.
    """
    folders = map(files.path_of, (options.input_dir, options.output_dir))
    only_here = any(map(stores.is_of_one_process, folders))
    if options.runner == BEAM:
        if only_here:
            raise ValueError("runner=beam: its workers see nothing of memory://")
        return BeamRunner(options.beam_arguments, options.beam_timeout)
    if only_here:
        return LocalRunner(1)
    return LocalRunner(options.num_workers or processes.default_workers())
