"""Which runner the options of a conversion ask for."""

from __future__ import annotations

from tfdicom import files, processes, stores
from tfdicom.beam_runner import BeamRunner, temp_location
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
        _refuse_temporary_inside(options)
        return BeamRunner(options.beam_arguments, options.beam_timeout)
    if only_here:
        return LocalRunner(1)
    return LocalRunner(options.num_workers or processes.default_workers())


def _refuse_temporary_inside(options: ConvertOptions) -> None:
    """What a run hands to and fro, the key with it, must not lie in a data set."""
    chosen = temp_location(options.beam_arguments)
    if not chosen:
        return
    folder = files.path_of(chosen).absolute().resolve()
    for name in ("output_dir", "input_dir"):
        text = getattr(options, name)
        outer = files.path_of(text).absolute().resolve() if text else None
        if outer is not None and outer in (folder, *folder.parents):
            raise ValueError(
                f"beam_args: --temp_location={chosen} lies in {name}={text}; choose a "
                "folder outside of it, which only this conversion's people can read"
            )
