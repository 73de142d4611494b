"""The examples run as a user runs them, on the sample and in a few steps."""

import os
import re
import subprocess
import sys

import pytest

from tests.real_data import REPOSITORY, SAMPLE
from tfdicom.conversion import convert

_SMALL = ["--flagfile=configs/train.flags", "--image_size=64", "--filters=8"]


def _run(script, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, f"examples/{script}", *arguments],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    output = tmp_path_factory.mktemp("sample")
    convert(
        input_dir=str(SAMPLE),
        output_dir=str(output),
        folds=0,
        split="train",
        id_key_file="public",
    )
    return output


def test_demo_converts_draws_and_reads(tmp_path):
    shown = _run("demo.py", f"--output_dir={tmp_path}")
    assert "20 examples" in shown
    assert "epoch 1, batch 1" in shown
    assert (tmp_path / "contact_sheet.png").stat().st_size > 100_000


@pytest.mark.slow
def test_keras_example_learns(data_dir):
    # A patient that the model has seen: whether it learns at all, in a few epochs.
    shown = _run(
        "train_keras.py",
        *_SMALL,
        f"--data_dir={data_dir}",
        "--test_split=train",
        "--epochs=12",
    )
    dice = float(re.search(r"Dice on train: ([\d.]+)", shown)[1])
    assert dice > 0.6
    assert "Epoch 12/12" in shown


@pytest.mark.estimator
def test_estimator_example_trains(data_dir):
    shown = _run(
        "train_estimator.py",
        *_SMALL,
        f"--data_dir={data_dir}",
        "--test_split=train",
        "--steps=3",
    )
    assert re.search(r"Dice on train: \d\.\d+", shown)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
