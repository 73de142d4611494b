import sys

import pytest
from absl import flags

from tfdicom import command_line


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ([], False),
        (["--redact_logs"], True),
        (["-redact_logs=true", "--x"], True),
        (["--redact_logs=false"], False),
        (["--redact_logs", "--noredact_logs"], False),
        (["redact_logs", "--redact_logsx"], False),
    ],
)
def test_flags_that_are_true_or_false(arguments, asked):
    assert command_line.is_asked("redact_logs", arguments) == asked


def test_values():
    arguments = ["--a=1=2", "-b", "c", "d", "--e", "--f", "g", "--h="]
    found = list(command_line.values_of(arguments))
    assert found == [("a", "1=2"), ("b", "c"), ("f", "g"), ("h", "")]


def test_flagfiles_are_read_if_they_can_be(tmp_path):
    flags.FLAGS(["program"])
    path = tmp_path / "x.flags"
    arguments = ["--a", f"--flagfile={path}"]
    assert command_line.with_flagfiles(arguments) == arguments
    path.write_text("# comment\n--b=1\n")
    assert command_line.with_flagfiles(arguments) == ["--a", "--b=1"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
