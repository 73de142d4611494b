"""Options choose who does the work."""

import importlib.util
import sys

import pytest

from tests import source_folders
from tfdicom import processes
from tfdicom.beam_runner import BeamRunner
from tfdicom.convert_options import ConvertOptions
from tfdicom.runner_choice import runner_of
from tfdicom.runners import LocalRunner


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)


def test_local_is_the_default():
    assert runner_of(ConvertOptions()) == LocalRunner(processes.default_workers())
    assert runner_of(ConvertOptions(num_workers=7)) == LocalRunner(7)


def test_beam_gets_its_arguments(installed):
    options = ConvertOptions(
        runner="beam", beam_args="--runner=DirectRunner --job_name='a b'"
    )
    arguments = ("--runner=DirectRunner", "--job_name=a b")
    assert runner_of(options) == BeamRunner(arguments, 600)


def test_beam_sees_no_memory_of_another_process(installed):
    with pytest.raises(ValueError, match="see nothing of memory://"):
        runner_of(ConvertOptions(runner="beam", input_dir="memory://in"))


@pytest.mark.parametrize("kind", ["output_dir", "input_dir"])
@pytest.mark.parametrize("inside", ["", "/deep/er", "/.partial-data-set"])
@pytest.mark.parametrize("scheme", ["", "s3"])
def test_what_a_run_hands_to_and_fro_is_in_no_data_set(
    installed, tmp_path, monkeypatch, kind, inside, scheme
):
    folders = {"output_dir": tmp_path / "out", "input_dir": tmp_path / "in"}
    if scheme:
        pytest.importorskip("s3fs")
        folders = {name: f"s3://bucket/{name}" for name in folders}
    else:  # a name of the folder that is another one's
        folders[kind].mkdir()
        (tmp_path / "same").symlink_to(folders[kind])
    named = folders[kind] if scheme else tmp_path / "same"
    chosen = {name: str(path) for name, path in folders.items()}
    arguments = f"--runner=DirectRunner --temp_location={named}{inside}"
    with pytest.raises(ValueError, match=f"temp_location=.* lies in {kind}="):
        runner_of(ConvertOptions(runner="beam", beam_args=arguments, **chosen))
    beside = f"--runner=DirectRunner --temp_location={folders[kind]}2{inside}"
    runner_of(ConvertOptions(runner="beam", beam_args=beside, **chosen))


def test_without_beam_the_extra_is_named_before_anything_is_written(
    source, tmp_path, monkeypatch
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'tfdicom\[beam\]'"):
        source_folders.convert(source.root, tmp_path / "out", runner="beam")
    assert not (tmp_path / "out").exists()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
