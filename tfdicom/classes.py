"""Classes of a data set, and how they are made of annotated structures.

``inner;outer`` names two structures as they are; ``cavity=inner;myo=outer-inner``
derives classes: union ``+``, difference ``-``, intersection ``&``, parentheses. ``&``
binds tighter than ``+`` and ``-``; those two go from left to right.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Collection, Mapping

import numpy as np

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXPRESSION = re.compile(r"[A-Za-z0-9_+&() -]+")


@dataclasses.dataclass(frozen=True)
class SegmentationClass:
    """A class: its name, and the expression over structures that it is."""

    name: str
    expression: str

    @property
    def structures(self) -> tuple[str, ...]:
        """Structures that the expression uses, in order of appearance."""
        return tuple(dict.fromkeys(_NAME.findall(self.expression)))

    def annotated(self, structures: Collection[str]) -> bool:
        """Whether every structure it needs is among those annotated."""
        return all(name in structures for name in self.structures)

    def combine(self, planes: Mapping[str, np.ndarray]) -> np.ndarray:
        """The class's plane from those of its structures.

        Args:
          planes: Arrays of equal shape, bool, or float fractions in [0, 1]. Fractions
            combine by maximum, minimum and a - min(a, b): exact where the structures
            are nested or do not meet in a pixel.
        """
        return _evaluate(_parsed(self.expression), planes)


def parse_classes(text: str) -> tuple[SegmentationClass, ...]:
    """Reads ``--classes``: definitions separated by ``;`` or ``,``.

    Raises:
      ValueError: A definition cannot be read, or a name occurs twice.
    """
    parts = [part.strip() for part in re.split("[;,]", text) if part.strip()]
    classes = tuple(_parse_class(part) for part in parts)
    names = [one.name for one in classes]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"classes={text!r}: one or more classes with different names are wanted, "
            "as 'inner;outer' or 'cavity=inner;myo=outer-inner'"
        )
    return classes


def _parse_class(text: str) -> SegmentationClass:
    name, _, expression = (part.strip() for part in text.partition("="))
    expression = expression or name
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"class {text!r}: a name of letters, digits and underscores is wanted"
        )
    _check(_parsed(expression), expression)
    return SegmentationClass(name, expression.replace(" ", ""))


def _parsed(expression: str) -> ast.expr:
    # Python's own grammar with * in the place of &, which binds too weakly there.
    try:
        if not _EXPRESSION.fullmatch(expression):
            raise SyntaxError
        return ast.parse(expression.replace("&", "*"), mode="eval").body
    except SyntaxError:
        raise _unreadable(expression) from None


def _unreadable(expression: str) -> ValueError:
    return ValueError(
        f"class expression {expression!r}: structures joined by + (union), "
        "- (difference), & (intersection) and parentheses are allowed"
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


def _evaluate(node: ast.expr, planes: Mapping[str, np.ndarray]) -> np.ndarray:
    match node:
        case ast.Name(id=name):
            return planes[name]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return np.maximum(_evaluate(left, planes), _evaluate(right, planes))
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return np.minimum(_evaluate(left, planes), _evaluate(right, planes))
        case ast.BinOp(left=left, right=right):
            return _difference(_evaluate(left, planes), _evaluate(right, planes))
    raise _unreadable(ast.unparse(node))


def _difference(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return left & ~right if left.dtype == bool else left - np.minimum(left, right)
