"""Which tests run where."""

import importlib.util
import os
import pathlib
import time
from collections.abc import Iterator

import pytest

from tests import real_data, screenshots, source_folders


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("tensorflow_estimator"):
        return
    skip = pytest.mark.skip(reason="no tensorflow_estimator in this environment")
    for item in items:
        if item.get_closest_marker("estimator"):
            item.add_marker(skip)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Under Bazel, which leaves slow tests out, a file may have no test to run."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and "TEST_SRCDIR" in os.environ:
        session.exitstatus = pytest.ExitCode.OK


_BEGUN = time.time()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says where the pictures are that tests took."""
    if found := screenshots.line(_BEGUN):
        terminalreporter.write_line(found)


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither read nor write what this machine's user keeps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture
def source(tmp_path: pathlib.Path) -> source_folders.SourceFolder:
    """A small whole input folder, ``in``, of its own for each test."""
    return source_folders.write_folder(tmp_path / "in")


@pytest.fixture(scope="session")
def sunnybrook_dataset(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The shared Sunnybrook data as configs/sunnybrook.flags converts it; read only."""
    if not real_data.SUNNYBROOK.is_dir():
        pytest.skip(f"no shared data at {real_data.SUNNYBROOK}")
    output = tmp_path_factory.mktemp("sunnybrook") / "data set"
    split = "train:0.67,test:0.33"
    source_folders.convert(real_data.SUNNYBROOK, output, split=split, num_workers=2)
    return output
