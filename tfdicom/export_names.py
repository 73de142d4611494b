"""File names of what is exported, from pseudonyms and from names of classes."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NOT_IN_NAMES = re.compile(r"[^\w.+-]+")


def file_words(names: Sequence[str]) -> list[str]:
    """Names of classes as parts of file names, all different."""
    found: list[str] = []
    for name in names:
        word = _NOT_IN_NAMES.sub("_", name).strip(".") or "class"
        taken = {one.lower() for one in found}  # some disks know no case
        number, unique = 2, word
        while unique.lower() in taken:
            unique, number = f"{word}_{number}", number + 1
        found.append(unique)
    return found
