"""Words that messages are made of: those of the flags, their help, and of reasons.

What consists of them identifies nobody, so that it may be printed where names may not.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Collection, Iterator

from tfdicom.convert_options import ConvertOptions
from tfdicom.reasons import FINDINGS, REASONS

_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+")
_MOST_DIGITS = 2  # of a whole number that names nobody


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case; digits and signs are none."""
    return [word.lower() for word in _WORD.findall(text)]


def is_plain(text: str, more: Collection[str] = ()) -> bool:
    """Whether a text is made of plain words, fractions and short numbers.

    Args:
      text: The text.
      more: Other words that are plain, in lower case.
    """
    numbers = _NUMBER.findall(text)
    if any("." not in one and len(one) > _MOST_DIGITS for one in numbers):
        return False
    return all(word in plain_words() or word in more for word in words_of(text))


@functools.cache
def plain_words() -> frozenset[str]:
    """The words, in lower case."""
    return frozenset(word for text in _texts() for word in words_of(text))


def _texts() -> Iterator[str]:
    for field in dataclasses.fields(ConvertOptions):
        yield field.name
        yield field.metadata["help"]
        yield from field.metadata["choices"] or ()
    for code, reason in REASONS.items():
        yield from (code, reason.sentence, reason.hint)
    for code, sentence in FINDINGS.items():
        yield from (code, sentence)
