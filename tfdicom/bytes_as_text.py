"""Texts in bytes of which nothing says how they are encoded.

A private element whose type is unknown (UN), or that is "other bytes" (OB), may hold a
text: as the value, or somewhere in it; in the character set of its data set, or in one
that the maker's program used (ASCII, UTF-8, UTF-16, Latin-1). What looks like a text in
several of them is taken in each: a text too many is looked for in vain.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence

from pydicom.charset import decode_bytes

# Longer values are no texts; they may hold some.
_LONGEST_TEXT = 4096
_LEAST = 2  # characters of a text that is the whole value
_ASCII = re.compile(rb"[\x20-\x7e]{4,}")
_UTF_8 = re.compile(
    rb"(?:[\x20-\x7e]|[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}){4,}"
    rb"|(?:[\xe3-\xed][\x80-\xbf]{2}){2,}"  # names of two ideographs
)
# Of UTF-16, characters up to U+06FF without the rare ones: of any others, most pairs of
# bytes are one, and those beside a text would be taken for a part of it.
_UTF_16_LE = re.compile(
    rb"(?:[\x20-\x7e\xa0-\xff]\x00|[\x01-\x7f]\x01|[\x70-\xff]\x03"
    rb"|[\x01-\xff][\x04-\x06]){4,}"
)
_UTF_16_BE = re.compile(
    rb"(?:\x00[\x20-\x7e\xa0-\xff]|\x01[\x01-\x7f]|\x03[\x70-\xff]"
    rb"|[\x04-\x06][\x01-\xff]){4,}"
)
_LATIN_1 = re.compile(rb"[A-Za-z0-9 .,'^=_\xc0-\xd6\xd8-\xf6\xf8-\xff-]{4,}")
_OF_CHARSET = re.compile(rb"[\x1b\x20-\x7e\x80-\xff]{4,}")
_ESCAPE = b"\x1b"
_SEPARATORS = frozenset("^=\\\r\n\t\f")
_RUNS = (
    (_ASCII, "ascii"),
    (_UTF_8, "utf-8"),
    (_UTF_16_LE, "utf-16-le"),
    (_UTF_16_BE, "utf-16-be"),
)


def texts_in(data: bytes, charsets: Sequence[str] = ()) -> list[str]:
    """What may be a text, whole values and parts of them; each once.

    Args:
      data: The value.
      charsets: Python's names of the character sets of the data set.
    """
    texts = (*_whole(data, charsets), *_runs(data), *_runs_of_charset(data, charsets))
    stripped = (text.strip("\0 ") for text in texts)
    return list(dict.fromkeys(text for text in stripped if text))


def _whole(data: bytes, charsets: Sequence[str]) -> Iterator[str]:
    """The value as one text."""
    if len(data) > _LONGEST_TEXT:
        return
    if (text := _decoded(data, "utf-8")) is not None and _is_text(text):
        yield text
        if text.isascii():
            return
    of_data_set = _of_charset(data, charsets)
    if of_data_set is not None and _is_text(of_data_set):
        yield of_data_set
    for name in ("utf-16-le", "utf-16-be"):
        text = _decoded(data, name)
        if text is not None and _is_text(text.removeprefix("\ufeff")):
            yield text.removeprefix("\ufeff")


def _runs(data: bytes) -> Iterator[str]:
    """Texts within the value, in character sets that are known by their bytes."""
    for pattern, name in _RUNS:
        for run in pattern.findall(data):
            text = _decoded(run, name)
            if text is None or (text.isascii() and name == "utf-8"):
                continue  # what is ASCII was found as such
            if text.isascii() or _is_text(text):
                yield text
    for run in _LATIN_1.findall(data):
        text = run.decode("latin-1")
        if not text.isascii() and 2 * _count(text, _is_ascii_letter) >= len(text):
            yield text


def _runs_of_charset(data: bytes, charsets: Sequence[str]) -> Iterator[str]:
    """Texts within the value, if it is short, in the data set's character set."""
    if len(data) > _LONGEST_TEXT or not charsets:
        return
    for run in _OF_CHARSET.findall(data):
        text = (
            None if run.isascii() and _ESCAPE not in run else _of_charset(run, charsets)
        )
        if text is not None and _is_text(text):
            yield text


def _decoded(data: bytes, name: str) -> str | None:
    try:
        return data.decode(name)
    except UnicodeDecodeError:
        return None


def _of_charset(data: bytes, charsets: Sequence[str]) -> str | None:
    if not charsets:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bytes that are no text
            text = decode_bytes(data, list(charsets), set(b"\\^=\r\n\t\f"))
    except (LookupError, ValueError):
        return None
    return None if "\ufffd" in text else text


def _is_text(text: str) -> bool:
    """Whether most characters are letters and digits, and all can be printed.

    Random bytes are rarely all of that, the less the longer they are.
    """
    text = text.strip("\0 ")
    if len(text) < _LEAST or not all(map(_is_shown, text)):
        return False
    return 2 * _count(text, str.isalnum) >= len(text) and _count(text, str.isalpha) > 0


def _is_shown(one: str) -> bool:
    return one in _SEPARATORS or one.isprintable()


def _is_ascii_letter(one: str) -> bool:
    return one.isascii() and one.isalpha()


def _count(text: Iterable[str], what: Callable[[str], bool]) -> int:
    return sum(map(what, text))
