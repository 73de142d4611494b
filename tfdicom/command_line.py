"""What a command line says before its flags are parsed, or where they cannot be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from absl import flags

_NO = frozenset({"false", "f", "0", "no", "n"})


def with_flagfiles(arguments: Sequence[str]) -> list[str]:
    """The arguments, with what flagfiles hold in their place, if they can be read."""
    try:
        return flags.FLAGS.read_flags_from_files(list(arguments), force_gnu=False)
    except (flags.Error, OSError, UnicodeDecodeError):
        return list(arguments)


def is_asked(flag: str, arguments: Iterable[str]) -> bool:
    """Whether a flag that is true or false is given as true; the last one counts."""
    asked = False
    for argument in arguments:
        name, _, value = argument.lstrip("-").partition("=")
        if argument.startswith("-") and name in (flag, f"no{flag}"):
            asked = name == flag and value.lower() not in _NO
    return asked


def values_of(arguments: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Flags that have a value, ``--name=value`` or ``--name value``, and theirs."""
    name = ""
    for argument in arguments:
        if argument.startswith("-"):
            name, equals, value = argument.lstrip("-").partition("=")
            if equals:
                yield name, value
                name = ""
        elif name:
            yield name, argument
            name = ""
