"""Equal values of many headers are one object.

The images of a series say much that is the same. Kept once it takes a fraction of the
memory, also on its way from a worker: pickle writes an object once, however often it
is met.
"""

from __future__ import annotations

import sys
from typing import Any, TypeVar

ValueT = TypeVar("ValueT")

_MOST = 1 << 12  # values that are remembered; a series has a handful
_seen: dict[str, Any] = {}


def interned(value: ValueT) -> ValueT:
    """The value, or one given before that is the same to the last bit.

    Args:
      value: Text, or a tuple, dict or dataclass of texts and numbers that nobody will
        change.
    """
    if type(value) is str:
        return sys.intern(value)  # type: ignore[call-overload, no-any-return]
    # Not by equality: -0.0 equals 0.0, and 1 equals 1.0 and True.
    name = repr(value)
    if len(_seen) >= _MOST and name not in _seen:
        _seen.clear()
    return _seen.setdefault(name, value)
