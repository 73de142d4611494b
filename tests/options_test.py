import dataclasses
import inspect
import math
import sys

import pytest
from absl import flags

from tfdicom import options
from tfdicom.options import option


@dataclasses.dataclass(frozen=True)
class Options:
    """One option of every kind."""

    where: str | None = option(None, "Where to look.")
    rule: str = option("nested", "Which rule.", choices=("standard", "nested"))
    mode: str | None = option(None, "Which mode, if any.", choices=("a", "b"))
    size: int = option(8, "How many.", kind=int, lower=1, upper=64)
    seed: int | None = option(None, "Seed; none is drawn.", kind=int)
    share: float = option(0.5, "How much, a|b.", kind=float, lower=0, upper=1)
    least: float = option(0.0, "Not less.", kind=float, lower=0)
    most: float = option(0.0, "Not more.", kind=float, upper=0)
    shuffle: bool = option(True, "Whether to shuffle.", kind=bool)
    training: bool | None = option(None, "Whether to train.", kind=bool)
    inner: tuple = dataclasses.field(default=())  # neither flag nor keyword

    def __post_init__(self):
        options.check(self)


DECLARED = [field.name for field in dataclasses.fields(Options)][:-1]


def _parsed(*arguments: str) -> flags.FlagValues:
    values = flags.FlagValues()
    options.define_flags(Options, module_name="tfdicom.any", flag_values=values)
    values(["program", *arguments])
    return values


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": "xor"}, "rule='xor': choose one of standard, nested"),
        ({"mode": "c"}, "mode='c': choose one of a, b"),
        ({"size": 0}, "size=0: allowed is 1 to 64"),
        ({"size": 65}, "size=65: allowed is 1 to 64"),
        ({"size": 2.0}, r"size=2\.0: a int is expected"),
        ({"size": "2"}, "size='2': a int is expected"),
        ({"size": True}, "size=True: a int is expected"),
        ({"share": -0.1}, r"share=-0\.1: allowed is 0 to 1"),
        ({"share": math.nan}, "share=nan: allowed is 0 to 1"),
        ({"share": "1"}, "share='1': a float is expected"),
        ({"least": -1}, "least=-1: allowed is 0 or more"),
        ({"most": 0.1}, r"most=0\.1: allowed is at most 0"),
        ({"shuffle": 1}, "shuffle=1: True or False is expected"),
        ({"training": "yes"}, "training='yes': True or False is expected"),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Options(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 1},
        {"size": 64},
        {"share": 0},
        {"share": 1.0},
        {"least": math.inf},
        {"most": -5},
        {"mode": "b"},
        {"seed": -3},
        {"training": False},
        {name: None for name in ("where", "mode", "seed", "training")},
    ],
)
def test_accepts(changes):
    made = Options(**changes)
    assert {name: getattr(made, name) for name in changes} == changes


def test_flags_have_the_defaults_of_the_fields():
    assert options.from_flags(Options, flag_values=_parsed()) == Options()


def test_flags_have_the_types_of_the_fields():
    values = _parsed(
        "--where=here",
        "--rule=standard",
        "--mode=a",
        "--size=3",
        "--seed=-7",
        "--share=0.25",
        "--least=2",
        "--most=-1.5",
        "--noshuffle",
        "--training",
    )
    made = options.from_flags(Options, flag_values=values)
    expected = Options(
        where="here",
        rule="standard",
        mode="a",
        size=3,
        seed=-7,
        share=0.25,
        least=2.0,
        most=-1.5,
        shuffle=False,
        training=True,
    )
    assert made == expected


def test_overrides_win_and_reach_fields_without_a_flag():
    values = _parsed("--size=3", "--rule=standard")
    made = options.from_flags(Options, flag_values=values, size=4, inner=(1,))
    assert made == Options(size=4, rule="standard", inner=(1,))


@pytest.mark.parametrize(
    "argument",
    ["--rule=xor", "--mode=c", "--size=0", "--size=65", "--size=many", "--share=1.5"]
    + ["--least=-1", "--most=1", "--shuffle=perhaps"],
)
def test_flags_refuse_what_the_fields_refuse(argument):
    with pytest.raises(flags.IllegalFlagValueError, match=argument[2:6]):
        _parsed(argument)


def test_only_declared_fields_have_flags():
    values = _parsed()
    own = values.get_flags_for_module("tfdicom.any")
    assert sorted(flag.name for flag in own) == sorted(DECLARED)
    helps = {flag.name: flag.help for flag in own}
    for field in dataclasses.fields(Options)[:-1]:
        assert field.metadata["help"] in helps[field.name]


@options.accepts_options(Options)
def read(folder, split="train", *, options):
    """Reads a folder.

    Args:
      folder: Which.
      split: Of it.
    """
    return folder, split, options


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({}, Options()),
        ({"size": 3, "where": "x"}, Options(size=3, where="x")),
        ({"options": Options(size=5)}, Options(size=5)),
        ({"options": Options(size=5), "share": 1}, Options(size=5, share=1)),
        ({"options": Options(size=5), "size": 6}, Options(size=6)),
        ({"options": Options(where="x"), "where": None}, Options()),
        ({"options": None, "size": 2}, Options(size=2)),
    ],
)
def test_function_gets_options_whole_or_by_field(keywords, expected):
    assert read("here", **keywords) == ("here", "train", expected)
    assert read("here", split="test", **keywords) == ("here", "test", expected)


@pytest.mark.parametrize(
    ("arguments", "keywords", "error", "message"),
    [
        (
            ("x",),
            {"sise": 3},
            TypeError,
            r"read\(\) has no keyword sise; known are "
            "folder, split, options, where, rule",
        ),
        (("x",), {"b": 1, "a": 2, "size": 3}, TypeError, "no keyword a, b; known"),
        (("x",), {"inner": ()}, TypeError, "no keyword inner"),
        ((), {}, TypeError, "folder"),
        (("x", "train", Options()), {}, TypeError, "positional"),
        (("x",), {"size": 0}, ValueError, "size=0"),
        (("x",), {"options": Options(), "size": 0}, ValueError, "size=0"),
    ],
)
def test_function_refuses(arguments, keywords, error, message):
    with pytest.raises(error, match=message):
        read(*arguments, **keywords)


def test_signature_shows_every_field_once():
    parameters = inspect.signature(read).parameters
    assert list(parameters) == ["folder", "split", "options", *DECLARED]
    for name in DECLARED:
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default == getattr(Options(), name)


def test_docstring_is_that_of_the_function_and_the_fields():
    lines = inspect.getdoc(read).splitlines()
    assert read.__name__ == "read"
    assert lines[:5] == [
        "Reads a folder.",
        "",
        "Args:",
        "  folder: Which.",
        "  split: Of it.",
    ]
    assert "\n".join(lines[6:]) == options.describe(Options)


def test_description_names_default_meaning_and_choices():
    lines = options.describe(Options).splitlines()
    assert lines[0] == "Keywords (fields of ``Options``, or whole as options=):"
    assert lines[1] == "  where (default None): Where to look."
    rule = "  rule (default 'nested'): Which rule. One of standard, nested."
    assert lines[2] == rule
    assert len(lines) == 1 + len(DECLARED)


def test_table_is_markdown():
    rows = options.table(Options).splitlines()
    assert rows[:4] == [
        "| flag | default | meaning |",
        "|---|---|---|",
        "| `--where` |  | Where to look. |",
        "| `--rule` | `nested` | Which rule. One of standard, nested. |",
    ]
    assert r"| `--share` | `0.5` | How much, a\|b. |" in rows
    assert len(rows) == 2 + len(DECLARED)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
