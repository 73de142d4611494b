"""The reference of the Python API, made from the source."""

import ast
import sys

import pytest

import tfdicom
from tools import api_reference


def test_every_public_name_is_there():
    page = api_reference.reference()
    names = set(tfdicom.__all__) - {"__version__"}
    assert names == set(api_reference.homes())
    for name in names:
        assert f"### tfdicom.{name}\n" in page


def _function(source: str) -> ast.FunctionDef:
    (node,) = ast.parse(source).body
    assert isinstance(node, ast.FunctionDef)
    return node


def test_a_signature_says_where_keywords_come_from():
    source = """
@accepts_options(InputOptions)
def read(place: str, *, options: InputOptions, pairs: dict[str, int] = {}) -> int:
    '''Reads.'''
"""
    assert api_reference._signature(_function(source)) == (
        "read(\n    place: str,\n    *,\n    pairs: dict[str, int]={},\n"
        "    options: InputOptions | None=None,\n"
        "    **fields of InputOptions,\n) -> int"
    )


def test_a_docstring_becomes_markdown():
    source = '''
def read(place):
    """Reads ``one``
    thing.

    As in::

        read("x")

    Args:
      place: Where
        it is.
      other: None.

    Returns:
      A pair: two.

    Raises:
      ValueError: It is not.
    """
'''
    assert api_reference._docstring(_function(source)).split("\n\n") == [
        "Reads `one` thing.",
        "As in:",
        '```text\nread("x")\n```',
        "Args:",
        "- `place`: Where it is.\n- `other`: None.",
        "Returns: A pair: two.",
        "Raises:",
        "- `ValueError`: It is not.\n",
    ]


def test_methods_of_a_class_are_listed():
    page = api_reference._entry("Evaluation", "volume_scores")
    assert "- `result() -> EvaluationResult`: The scores" in page
    assert "Evaluation(classes: Sequence[str])" in page


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
