"""Classes of a data set, and how they are made of annotated structures.

``inner;outer`` names two structures as they are; ``cavity=inner;myo=outer-inner``
derives classes: union ``+``, difference ``-``, intersection ``&``, parentheses. ``&``
binds tighter than ``+`` and ``-``; those two go from left to right.

A structure is named by a *term*: a name, or a regular expression between slashes. Both
are compared with whole names and without regard to case: ``heart=heart`` takes the ROI
``Heart``, ``lung=/lung_(l|r)/`` the ROIs ``LUNG_L`` and ``lung_r`` together. Slashes
may be left out where the text is no expression anyway: ``lung=lung_(l|r)``.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping

import numpy as np

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile(r"[A-Za-z0-9_+&() -]+")  # an expression without /.../
_TERM = re.compile(r"/((?:[^/\\]|\\.)+)/|[A-Za-z_][A-Za-z0-9_]*")
_PARSED = re.compile(r"term(\d+)_")


@dataclasses.dataclass(frozen=True)
class SegmentationClass:
    """A class: its name, and the expression over structures that it is."""

    name: str
    expression: str

    @property
    def structures(self) -> tuple[str, ...]:
        """Terms that the expression uses, in order of appearance."""
        return tuple(dict.fromkeys(_terms(self.expression)))

    def annotated(self, structures: Collection[str]) -> bool:
        """Whether every structure it needs is among those annotated."""
        return all(term in structures for term in self.structures)

    def combine(self, planes: Mapping[str, np.ndarray]) -> np.ndarray:
        """The class's plane from those of its structures.

        Args:
          planes: Arrays of equal shape by term, bool, or float fractions in [0, 1].
            Fractions combine by maximum, minimum and a - min(a, b): exact where the
            structures are nested or do not meet in a pixel.
        """
        return _evaluate(_parsed(self.expression), _terms(self.expression), planes)


def structures_of(classes: Iterable[SegmentationClass]) -> tuple[str, ...]:
    """Terms that the classes use, each once, in order of appearance."""
    return tuple(dict.fromkeys(term for one in classes for term in one.structures))


def term_matches(term: str, names: Iterable[str]) -> bool:
    """Whether a term means a structure that has these names."""
    return any(_pattern(term).fullmatch(name) for name in names)


@functools.cache
def _pattern(term: str) -> re.Pattern:
    text = term[1:-1] if term.startswith("/") else re.escape(term)
    return re.compile(text, re.IGNORECASE)


def parse_classes(text: str) -> tuple[SegmentationClass, ...]:
    """Reads ``--classes``: definitions separated by ``;`` or ``,``.

    Raises:
      ValueError: A definition cannot be read, or a name occurs twice.
    """
    parts = [part.strip() for part in _split(text) if part.strip()]
    classes = tuple(_parse_class(part) for part in parts)
    names = [one.name for one in classes]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"classes={text!r}: one or more classes with different names are wanted, "
            "as 'inner;outer' or 'cavity=inner;myo=outer-inner'"
        )
    return classes


def _split(text: str) -> Iterator[str]:
    """Parts between ``;`` or ``,`` that stand outside of slashes and brackets."""
    depth, slashed, start, escaped = 0, False, 0, False
    for at, letter in enumerate(text):
        if escaped or letter == "\\":
            escaped = not escaped
        elif letter == "/":
            slashed = not slashed
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter in ";," and not slashed and (depth <= 0 or letter == ";"):
            yield text[start:at]
            depth, start = 0, at + 1
    yield text[start:]


def _parse_class(text: str) -> SegmentationClass:
    name, _, expression = (part.strip() for part in text.partition("="))
    expression = expression or name
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"class {text!r}: a name of letters, digits and underscores is wanted"
        )
    if not _PLAIN.fullmatch(_TERM.sub("x", expression)):
        expression = f"/{expression}/"  # not made of terms and operators
    for term in _terms(expression):
        _check_term(term, text)
    _check(_parsed(expression), expression)
    return SegmentationClass(name, _without_spaces(expression))


def _without_spaces(expression: str) -> str:
    parts = re.split(f"({_TERM.pattern.replace('(', '(?:', 1)})", expression)
    return "".join(part if part[:1] == "/" else part.replace(" ", "") for part in parts)


def _check_term(term: str, text: str) -> None:
    try:
        _pattern(term)
    except re.error as error:
        raise ValueError(
            f"class {text!r}: the regular expression {term} cannot be read: {error}"
        ) from None


@functools.cache
def _terms(expression: str) -> tuple[str, ...]:
    return tuple(match[0] for match in _TERM.finditer(expression))


@functools.cache
def _parsed(expression: str) -> ast.expr:
    """The syntax tree; term number i is the name ``term<i>_``."""
    # Python's own grammar with * in the place of &, which binds too weakly there.
    numbers = iter(range(len(expression)))
    plain = _TERM.sub(lambda _: f" term{next(numbers)}_ ", expression).strip()
    try:
        if not _PLAIN.fullmatch(plain):
            raise SyntaxError
        return ast.parse(plain.replace("&", "*"), mode="eval").body
    except SyntaxError:
        raise _unreadable(expression) from None


def _unreadable(expression: str) -> ValueError:
    return ValueError(
        f"class expression {expression!r}: structures joined by + (union), "
        "- (difference), & (intersection) and parentheses are allowed; a structure "
        "whose name has other letters is written as a regular expression between "
        "slashes, as in tumour=/GTV-1/"
    )


def _check(node: ast.expr, expression: str) -> None:
    match node:
        case ast.Name():
            return
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult(), right=right):
            _check(left, expression)
            _check(right, expression)
        case _:
            raise _unreadable(expression)


def _evaluate(
    node: ast.expr, terms: tuple[str, ...], planes: Mapping[str, np.ndarray]
) -> np.ndarray:
    match node:
        case ast.Name(id=name):
            return planes[terms[int(_PARSED.fullmatch(name)[1])]]  # type: ignore[index]
        case ast.BinOp(left=left, op=operator, right=right):
            one, other = (_evaluate(side, terms, planes) for side in (left, right))
            if isinstance(operator, ast.Sub):
                return _difference(one, other)
            return (np.maximum if isinstance(operator, ast.Add) else np.minimum)(
                one, other
            )
    raise _unreadable(ast.unparse(node))


def _difference(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return left & ~right if left.dtype == bool else left - np.minimum(left, right)
