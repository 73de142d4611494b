import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests import real_data, synthetic
from tfdicom import doctor
from tfdicom.input_options import InputOptions
from tfdicom.manifest import load_manifest
from tfdicom.plan_reading import plan_reading

pytestmark = pytest.mark.long


def _write(folder, **fields):
    patients = {
        name: synthetic.frames(4, shape=(32, 24, 1)) for name in ("a", "b", "c")
    }
    synthetic.write_dataset(folder, {"train": patients}, **fields)
    return folder


def _plan(folder, options):
    return plan_reading(load_manifest(folder), "train", options)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return _write(tmp_path_factory.mktemp("doctor"))


@pytest.fixture(scope="module")
def report(dataset):
    options = InputOptions(
        batch_size=5, augment="rotation=5", with_info=True, jit_compile=False
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doctor, "_ROUNDS", 1)
        return doctor.diagnose(dataset, options=options, seconds=0.3)


@pytest.mark.slow
def test_every_stage_is_named(report):
    assert list(report.stages) == [
        "raw read",
        "parse",
        "grey values and masks",
        "moves: rotation",
        "info",
    ]
    for name in report.stages:
        assert name in str(report)


def test_stages_switch_on_one_group_after_the_other(dataset):
    options = InputOptions(augment="rotation=10,elastic=0.02,contrast=0.2,noise=0.1")
    plan = _plan(dataset, options)
    stages = doctor._cumulative(options, plan)
    shown = {
        name: [
            one
            for one in ("rotation", "elastic", "contrast", "noise")
            if changed.augmentation.may(one)
        ]
        for name, changed in stages.items()
    }
    assert shown == {
        "grey values and masks": [],
        "moves: rotation": ["rotation"],
        "elastic": ["rotation", "elastic"],
        "pointwise: contrast, noise": ["rotation", "elastic", "contrast", "noise"],
    }
    assert {changed.cache for changed in stages.values()} == {"none"}


@pytest.mark.slow
def test_stages_add_up(report):
    costs = list(report.stages.values())
    assert min(costs) >= 0
    assert costs[0] > 0
    assert report.uncached == pytest.approx(sum(costs))


@pytest.mark.slow
def test_the_text_says_what_was_tried(report):
    text = str(report)
    assert re.search(r"[\d,]+ images/s: a batch of 5 every [\d.]+ ms", text)
    assert re.search(r"First batch after [\d.]+ s", text)
    for flag in ("jit_compile=True", "batch_size=32", "cache=none"):
        assert any(tried.endswith(flag) for tried in report.trials)
        assert flag in text


def test_what_a_stage_adds_is_the_difference_to_those_before():
    added = doctor._added({"a": 1000.0, "b": 500.0, "c": 800.0, "d": 250.0})
    assert added == {"a": 1.0, "b": 1.0, "c": 0.0, "d": 2.0}


def _report(**fields):
    whole = {
        "batch_size": 8,
        "rate": 1000.0,
        "stages": {"raw read": 0.25, "parse": 0.75},
        "first_batch": 3.0,
        "next_first_batch": 1.0,
        "trials": {},
        "hints": [],
    }
    return doctor.Report(**{**whole, **fields})


def test_figures_of_the_text():
    text = str(_report(trials={"cache=memory": 2500.0, "jit_compile=False": 900.0}))
    assert "1,000 images/s: a batch of 8 every 8.0 ms" in text
    assert "First batch after 3.0 s: 2.0 s building" in text
    assert re.search(r"raw read +0\.250 +25%", text)
    assert "--cache=memory: 2,500 images/s, 2.5 times as fast" in text
    assert "--jit_compile=False:" not in text


def test_a_trial_that_does_not_run_is_left_out():
    fails = tf.data.Dataset.range(1).map(
        lambda x: tf.debugging.check_numerics(tf.math.log(-1.0), "bad")
    )
    assert not doctor._runs(fails)
    assert doctor._runs(tf.data.Dataset.range(1))


def test_says_when_nothing_helps():
    assert "the options are right" in str(_report(trials={"cache=none": 1001.0}))


@pytest.mark.parametrize(
    ("fields", "options", "stages", "words"),
    [
        ({"compression": "zlib"}, {}, (1, 0, 0), "--compression=none"),
        ({}, {}, (0, 0, 1), r"--image_size: of 32 x 24 pixels"),
    ],
)
def test_hints_follow_the_figures(tmp_path, fields, options, stages, words):
    folder = _write(tmp_path / "data", **fields)
    plan = _plan(folder, InputOptions(**options))
    names = (doctor.RAW, doctor.PARSE, doctor.PIXELS)
    (hint, *_) = doctor._hints(plan, dict(zip(names, stages, strict=True)))
    assert re.search(words, hint)
    small = dict(zip((*names, "other"), (0.1, 0.1, 0.1, 9.0), strict=True))
    assert doctor._hints(plan, small) == []


def test_hint_about_a_split_that_does_not_fit(tmp_path):
    pixels = np.zeros((512, 512, 1), np.int16)
    frames = synthetic.frames(4, shape=(512, 512, 1), pixels=pixels)
    synthetic.write_dataset(tmp_path, {"train": {"a": frames}})
    plan = _plan(tmp_path, InputOptions(cache_memory_mb=1))
    stages = {doctor.RAW: 0.0, doctor.PARSE: 0.0, doctor.PIXELS: 0.0}
    hints = doctor._hints(plan, stages)
    assert any(re.search(r"--cache_memory_mb=\d keeps", hint) for hint in hints)


def _command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tfdicom.inspect_main", *map(str, arguments)],
        cwd=real_data.REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_command(dataset):
    flags = ("--seconds=0.3", "--batch_size=4", "--nojit_compile")
    done = _command("doctor", f"--data_dir={dataset}", *flags)
    assert done.returncode == 0, done.stderr
    assert "a batch of 4 every" in done.stdout
    assert "grey values and masks" in done.stdout


def test_command_refuses_a_flag_that_its_verb_would_ignore(dataset):
    done = _command("summary", f"--data_dir={dataset}", "--batch_size=4")
    assert done.returncode == 2
    assert "--batch_size is no flag of summary" in done.stderr


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
