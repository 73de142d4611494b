"""What a newcomer runs first: the README, the tutorial, the demo."""

import os
import subprocess
import sys

import pytest

from tests import snippet_folders
from tests.real_data import REPOSITORY
from tests.snippet_folders import LONGEST, page_snippets, run_page


@pytest.mark.slow
@pytest.mark.parametrize("name", LONGEST)
def test_a_page_runs(name, tmp_path, monkeypatch):
    templates = snippet_folders.Templates(tmp_path / "templates")
    snippet_folders.shorten_training(monkeypatch)
    print(*run_page(page_snippets(name), tmp_path / "page", templates), sep="\n")


@pytest.mark.slow
def test_the_demo_runs(tmp_path):
    command = [sys.executable, "examples/demo.py", f"--output_dir={tmp_path}"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [*command, "--epochs=1"],
        cwd=REPOSITORY,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "epoch 0, batch 1: image (2, 128, 128, 1)" in done.stdout
    assert (tmp_path / "contact_sheet.png").stat().st_size > 100_000


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
