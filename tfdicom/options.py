"""Options as frozen dataclasses; flags and keywords are generated from them, once.

A field declared with ``option`` carries its help, its choices and its bounds. From the
same declaration come the absl flag (``define_flags``, ``from_flags``), the keyword of a
Python function (``accepts_options``) and the check of the value (``check``). Values
that are more than a number or a word are given as text, in Python as on the command
line, so that each has one notation.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from absl import flags

OptionsT = TypeVar("OptionsT")


def option(
    default: Any,
    help: str,  # the name that argparse and absl use
    *,
    choices: Sequence[str] | None = None,
    lower: float | None = None,
    upper: float | None = None,
    kind: type = str,
) -> Any:
    """Declares one field of an options class.

    Args:
      default: Its default; None means "not given".
      help: One or two sentences, shown by ``--help`` and in the documentation.
      choices: The words that are allowed.
      lower: Smallest number allowed.
      upper: Largest number allowed.
      kind: ``str``, ``int``, ``float`` or ``bool``.
    """
    metadata = {"help": help, "choices": choices, "lower": lower, "upper": upper}
    return dataclasses.field(default=default, metadata={**metadata, "kind": kind})


def check(options: Any) -> None:
    """Checks every field against its declaration; call it in ``__post_init__``.

    Raises:
      ValueError: Names the option, the value got and what is allowed.
    """
    for field in _declared(type(options)):
        value = getattr(options, field.name)
        if value is not None or field.default is dataclasses.MISSING:
            _check_value(field, value)


def _check_value(field: dataclasses.Field, value: Any) -> None:
    declared, name = field.metadata, field.name
    kind, choices = declared["kind"], declared["choices"]
    if choices and value not in choices:
        raise ValueError(f"{name}={value!r}: choose one of {', '.join(choices)}")
    if kind in (int, float):
        accepted = (int, float) if kind is float else (int,)
        if isinstance(value, bool) or not isinstance(value, accepted):
            raise ValueError(f"{name}={value!r}: a {kind.__name__} is expected")
        lower, upper = declared["lower"], declared["upper"]
        high_enough = lower is None or value >= lower
        low_enough = upper is None or value <= upper
        if not (high_enough and low_enough):  # so that NaN is refused
            raise ValueError(f"{name}={value!r}: allowed is {_span(lower, upper)}")
    if kind is bool and not isinstance(value, bool):
        raise ValueError(f"{name}={value!r}: True or False is expected")


def _span(lower: float | None, upper: float | None) -> str:
    if upper is None:
        return f"{lower} or more"
    return f"{lower} to {upper}" if lower is not None else f"at most {upper}"


def _declared(options_class: type) -> list[dataclasses.Field]:
    return [f for f in dataclasses.fields(options_class) if "help" in f.metadata]


def define_flags(
    options_class: type,
    *,
    module_name: str,
    flag_values: flags.FlagValues = flags.FLAGS,
) -> None:
    """Defines one absl flag for each declared field.

    Args:
      options_class: A dataclass whose fields were declared with ``option``.
      module_name: Module under which ``--help`` lists the flags.
      flag_values: Where to define them.
    """
    for field in _declared(options_class):
        declared, name = field.metadata, field.name
        default: Any = field.default
        common: dict[str, Any] = {"help": declared["help"], "module_name": module_name}
        common["flag_values"] = flag_values
        bounds = {"lower_bound": declared["lower"], "upper_bound": declared["upper"]}
        if declared["kind"] is bool:
            flags.DEFINE_bool(name, default, **common)
        elif declared["kind"] is int:
            flags.DEFINE_integer(name, default, **bounds, **common)
        elif declared["kind"] is float:
            flags.DEFINE_float(name, default, **bounds, **common)
        elif declared["choices"]:
            flags.DEFINE_enum(name, default, declared["choices"], **common)
        else:
            flags.DEFINE_string(name, default, **common)


def from_flags(
    options_class: type[OptionsT],
    *,
    flag_values: flags.FlagValues = flags.FLAGS,
    **overrides: Any,
) -> OptionsT:
    """Builds the options from the values of their flags.

    Args:
      options_class: As given to ``define_flags``.
      flag_values: Where the flags were defined and parsed.
      **overrides: Fields that do not come from a flag.

    Raises:
      ValueError: A value is not allowed.
    """
    names = [f.name for f in _declared(options_class) if f.name not in overrides]
    values = {name: flag_values[name].value for name in names}
    return options_class(**values, **overrides)


def accepts_options(options_class: type) -> Callable[[Callable], Callable]:
    """Gives a function ``options=`` and each field of the class as a keyword.

    The decorated function is written with a keyword ``options``; callers may pass the
    whole, single fields, or both (a field given wins). ``help()`` shows all of them.
    """

    def decorate(function: Callable) -> Callable:
        names = [field.name for field in _declared(options_class)]

        @functools.wraps(function)
        def wrapper(*args: Any, options: Any = None, **keywords: Any) -> Any:
            given = {n: keywords.pop(n) for n in list(keywords) if n in names}
            unknown = sorted(set(keywords) - set(own))
            if unknown:
                raise TypeError(
                    f"{function.__name__}() has no keyword {', '.join(unknown)}; "
                    f"known are {', '.join([*own, 'options', *names])}"
                )
            if options is None:
                options = options_class(**given)
            elif given:
                options = dataclasses.replace(options, **given)
            return function(*args, options=options, **keywords)

        parameters = inspect.signature(function).parameters
        own = [n for n in parameters if n != "options"]
        wrapper.__signature__ = _signature(function, options_class)  # type: ignore[attr-defined]
        wrapper.__doc__ = f"{inspect.getdoc(function)}\n\n{describe(options_class)}"
        return wrapper

    return decorate


def _signature(function: Callable, options_class: type) -> inspect.Signature:
    signature = inspect.signature(function)
    fields = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default
        )
        for field in _declared(options_class)
    ]
    own = list(signature.parameters.values())
    return signature.replace(parameters=[*own, *fields])


def describe(options_class: type) -> str:
    """The fields as the ``Keywords`` part of a docstring."""
    lines = [
        f"Keywords (fields of ``{options_class.__name__}``, or whole as options=):"
    ]
    for field in _declared(options_class):
        lines.append(f"  {field.name} (default {field.default!r}): {_sentence(field)}")
    return "\n".join(lines)


def _sentence(field: dataclasses.Field) -> str:
    choices = field.metadata["choices"]
    words = f" One of {', '.join(choices)}." if choices else ""
    return field.metadata["help"] + words


def table(options_class: type) -> str:
    """The fields as a Markdown table: flag, default, meaning."""
    rows = ["| flag | default | meaning |", "|---|---|---|"]
    for field in _declared(options_class):
        default = "" if field.default is None else f"`{field.default}`"
        sentence = _sentence(field).replace("|", "\\|")
        rows.append(f"| `--{field.name}` | {default} | {sentence} |")
    return "\n".join(rows)
