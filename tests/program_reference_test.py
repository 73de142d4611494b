"""The reference of the commands: every verb, every flag."""

import re
import subprocess
import sys

import pytest

from tests.real_data import REPOSITORY
from tools import program_reference


@pytest.fixture(scope="module")
def verbs():
    code = "from tfdicom import inspect_main; print(*inspect_main.VERBS)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.split()


def test_every_verb_is_shown(verbs):
    shown = re.findall(r"^\| `tfdicom_inspect (\w+)", _uses(), re.MULTILINE)
    assert sorted(shown) == sorted(verbs)


def _uses() -> str:
    return program_reference.uses("inspect_main")


def test_flags_of_the_reader_are_left_out():
    rows = program_reference.flag_table("inspect_main", without_reader=True)
    assert "| `--show_values` | `False` | Let phi_scan print" in rows
    assert "--augment`" not in rows
    assert "--augment`" in program_reference.flag_table("inspect_main")


def test_choices_come_once():
    rows = program_reference.flag_table("data_service_main")
    assert "| `--role` |  | What to be. One of dispatcher, worker. |" in rows


def test_a_program_without_uses_is_refused():
    with pytest.raises(ValueError, match="shows no use"):
        program_reference.uses("manifest")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
