import sys

import pytest

from tfdicom.verification import Problem, ProblemList, VerifyResult

ROWS = (("split", "examples"), ("train", "12"))


def result(*problems, notes=()):
    return VerifyResult("D", ROWS, problems, notes, ("a.tfrecord", "b.tfrecord"))


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (Problem("leak_pixels", "x"), "leak_pixels: x"),
        (Problem("shard_size", "x", "a"), "a: shard_size: x"),
        (Problem("order", "x", "a", 0, "ff"), "a, record 0, key ff: order: x"),
    ],
)
def test_a_problem_says_where(problem, line):
    assert str(problem) == line


def test_only_the_first_of_a_kind_are_kept():
    problems = ProblemList()
    for number in range(25):
        problems.add("order", "x", file="a", record=number)
        problems.add("order", "x", file="b", record=number)
    problems.add("shard_size", "y", file="a")
    told = [one for one in problems if one.file == "a" and one.code == "order"]
    assert [one.record for one in told] == [*range(20), None]
    assert told[-1].text == "and 5 more such problems"
    assert len(list(problems)) == 43


def test_whole():
    found = result(notes=("look",))
    assert found.is_whole and found.bad_shards == ()
    assert str(found) == (
        "Note: look\n\nsplit  examples\ntrain        12\n\n"
        "D is whole: every check passed."
    )


def test_damaged():
    found = result(
        Problem("record_damaged", "x", "b.tfrecord", 3),
        Problem("record_damaged", "x", "b.tfrecord", 4),
        Problem("ledger_line", "y", "ledger.jsonl"),
    )
    assert not found.is_whole
    assert found.bad_shards == ("b.tfrecord",)
    assert "D is NOT as it was made: 2 x record_damaged, 1 x ledger_line." in str(found)
    assert str(found).endswith("Bad shards (1 of 2): b.tfrecord")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
