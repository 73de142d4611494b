"""Parameters of routes: one declaration checks requests and becomes OpenAPI."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfdicom.serving.errors import ApiError

_KINDS = {str: "string", int: "integer", float: "number", bool: "boolean"}
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?")
_LONGEST_TEXT = 500


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of a route.

    Attributes:
      name: Its name in the query, or in the path.
      doc: One sentence.
      kind: ``str``, ``int``, ``float`` or ``bool``.
      default: What counts where it is not given.
      choices: The words that are allowed.
      lower: Smallest number allowed.
      upper: Largest number allowed.
      pattern: What a text must match as a whole.
      example: A value that works.
      in_path: Whether it is a part of the path.
    """

    name: str
    doc: str
    kind: type = str
    default: Any = None
    choices: tuple[str, ...] | None = None
    lower: float | None = None
    upper: float | None = None
    pattern: str | None = None
    example: str | None = None
    in_path: bool = False

    def read(self, text: str) -> Any:
        """The value that a text gives.

        Raises:
          ApiError: 400; says what was got and what is allowed.
        """
        value = self._parsed(text)
        if value is None:
            raise ApiError(
                400,
                "bad_parameter",
                f"{self.name}={text[:80]!r} is not allowed",
                f"{self.name}: {self._allowed()}",
            )
        return value

    def accepts(self, text: str) -> bool:
        """Whether a text gives a value."""
        return self._parsed(text) is not None

    def _parsed(self, text: str) -> Any:
        """The value, None if it is not allowed."""
        if self.kind is bool:
            return _FLAGS.get(text)
        if self.kind is str:
            return text if self._is_allowed_text(text) else None
        form = _INTEGER if self.kind is int else _NUMBER
        if not form.fullmatch(text):
            return None
        number = self.kind(text)
        if not math.isfinite(number):
            return None
        high_enough = self.lower is None or number >= self.lower
        low_enough = self.upper is None or number <= self.upper
        return number if high_enough and low_enough else None

    def _is_allowed_text(self, text: str) -> bool:
        if self.choices and text not in self.choices:
            return False
        if self.pattern and not re.fullmatch(self.pattern, text):
            return False
        return len(text) <= _LONGEST_TEXT and text.isprintable()

    def _allowed(self) -> str:
        if self.kind is bool:
            return "true, false, 1 or 0"
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.kind is str:
            form = f" that matches {self.pattern}" if self.pattern else ""
            return f"printable text{form} of at most {_LONGEST_TEXT} characters"
        bounds = [
            f"at least {self.lower}" if self.lower is not None else "",
            f"at most {self.upper}" if self.upper is not None else "",
        ]
        article = "an" if self.kind is int else "a"
        return " ".join([f"{article} {_KINDS[self.kind]}", *filter(None, bounds)])

    def to_openapi(self) -> dict[str, Any]:
        """The parameter as a Parameter Object of OpenAPI."""
        found: dict[str, Any] = {
            "name": self.name,
            "in": "path" if self.in_path else "query",
            "required": self.in_path,
            "description": self.doc,
            "schema": self._schema(),
        }
        if self.example is not None:
            found["example"] = self.example
        return found

    def _schema(self) -> dict[str, Any]:
        if self.kind is bool:
            words = {"type": "string", "enum": list(_FLAGS)}
            return {**words, **self._default_of_schema()}
        schema: dict[str, Any] = {"type": _KINDS[self.kind]}
        limits = {"minimum": self.lower, "maximum": self.upper}
        schema |= {name: one for name, one in limits.items() if one is not None}
        if self.choices:
            schema["enum"] = list(self.choices)
        elif self.kind is str:
            schema["maxLength"] = _LONGEST_TEXT
            schema["pattern"] = f"^({self.pattern or '[ -~]*'})$"
        return {**schema, **self._default_of_schema()}

    def _default_of_schema(self) -> dict[str, Any]:
        if self.default is None:
            return {}
        if self.kind is bool:
            return {"default": str(self.default).lower()}
        return {"default": self.default}


def read_query(
    parameters: Sequence[Parameter], query: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    """The values of a query, with defaults for what is not given.

    Args:
      parameters: Those that are known.
      query: Names and texts, as they were sent.

    Raises:
      ApiError: 400: a name is unknown or comes twice, or a value is not allowed.
    """
    known: Mapping[str, Parameter] = {
        one.name: one for one in parameters if not one.in_path
    }
    found: dict[str, Any] = {}
    for name, text in query:
        if name not in known:
            raise ApiError(
                400,
                "unknown_parameter",
                f"there is no parameter {name[:80]!r} here",
                f"known are {', '.join(known) or 'none'}",
            )
        if name in found:
            raise ApiError(
                400, "bad_parameter", f"{name} is given twice", "give it once"
            )
        found[name] = known[name].read(text)
    return {name: one.default for name, one in known.items()} | found
