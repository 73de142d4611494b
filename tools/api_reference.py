"""The public Python API as Markdown, from the source alone: nothing is imported.

Each name of ``tfdicom.__all__`` with its signature and its docstring; of a class, its
public methods and properties too.
"""

from __future__ import annotations

import ast
import pathlib
import re
import textwrap
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
_PACKAGE = ROOT / "tfdicom"
_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields):$", re.MULTILINE)
_ITEM = re.compile(r"^  (\S[^:\n]*): ", re.MULTILINE)
_LISTS = ("Args", "Attributes", "Raises")
#: Options classes whose fields are keywords of a function, by decorator's argument.
_KEYWORDS = "accepts_options"

Definition = ast.FunctionDef | ast.ClassDef


def homes() -> dict[str, str]:
    """The module of each public name, as ``tfdicom/__init__.py`` says."""
    tree = ast.parse((_PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOME":
            return ast.literal_eval(node.value)
    raise ValueError("tfdicom/__init__.py has no _HOME")


def reference() -> str:
    """Every public name, in the order of the alphabet."""
    return "\n".join(_entry(name, home) for name, home in _sorted(homes()))


def _sorted(names: dict[str, str]) -> list[tuple[str, str]]:
    return sorted(names.items(), key=lambda pair: pair[0].lower())


def _entry(name: str, home: str) -> str:
    node = _definition(name, home)
    lines = [f"### tfdicom.{name}", "", "```text", _signature(node), "```", ""]
    lines += [_docstring(node)]
    if options := _options_class(node):
        lines += [f"Keywords: the fields of `{options}` ([flags.md](flags.md)).", ""]
    if isinstance(node, ast.ClassDef):
        lines += _methods(node)
    return "\n".join(lines)


def _definition(name: str, home: str) -> Definition:
    path = _PACKAGE / f"{home.replace('.', '/')}.py"
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node
    raise ValueError(f"{path} defines no {name}")


def _signature(node: Definition) -> str:
    """As it is called, without what only the decorator sees."""
    if isinstance(node, ast.FunctionDef):
        return _call(node.name, node, _options_class(node))
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            return _call(node.name, method, None)
    return f"{node.name}(...)" if _is_dataclass(node) else node.name


def _call(name: str, node: ast.FunctionDef, options: str | None) -> str:
    arguments = ast.unparse(node.args).split(", ")
    given = [one for one in _joined(arguments) if one != "self"]
    if options:
        given = [one for one in given if not one.startswith("options:")]
        given += [f"options: {options} | None=None", f"**fields of {options}"]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    whole = f"{name}({', '.join(given)}){returns}"
    if len(whole) <= 88:
        return whole
    return "\n".join([f"{name}(", *(f"    {one}," for one in given), f"){returns}"])


def _joined(parts: list[str]) -> Iterator[str]:
    """What a split at commas tore apart, whole again."""
    pending = ""
    for part in parts:
        pending = f"{pending}, {part}" if pending else part
        if all(pending.count(a) == pending.count(b) for a, b in ("[]", "()")):
            yield pending
            pending = ""


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(one) for one in node.decorator_list)


def _options_class(node: Definition) -> str | None:
    for one in node.decorator_list:
        if isinstance(one, ast.Call) and ast.unparse(one.func).endswith(_KEYWORDS):
            return ast.unparse(one.args[0])
    return None


def _methods(node: ast.ClassDef) -> list[str]:
    lines = []
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
            summary = (ast.get_docstring(method) or "").partition("\n\n")[0]
            kinds = {ast.unparse(one) for one in method.decorator_list}
            call = _call(method.name, method, None)
            shown = method.name if "property" in kinds else " ".join(call.split())
            lines.append(f"- `{shown}`: {_prose(summary)}")
    return [*lines, ""] if lines else []


def _docstring(node: Definition) -> str:
    """A docstring in Google style as paragraphs and lists."""
    text = ast.get_docstring(node) or ""
    before, *sections = _SECTION.split(text)
    lines = [_paragraph(part) + "\n" for part in before.strip().split("\n\n")]
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        if title in _LISTS:
            lines += [f"{title}:", "", *_items(body), ""]
        else:
            lines += [f"{title}: {_prose(body)}", ""]
    return "\n".join(lines)


def _paragraph(text: str) -> str:
    if text.startswith("    "):  # what reStructuredText's :: announces
        return f"```text\n{textwrap.dedent(text)}\n```"
    return _prose(re.sub(r"::$", ":", text))


def _items(body: str) -> list[str]:
    _, *items = _ITEM.split(body)
    pairs = zip(items[::2], items[1::2], strict=True)
    return [f"- `{name}`: {_prose(text)}" for name, text in pairs]


def _prose(text: str) -> str:
    """One paragraph in one line, its code as Markdown has it."""
    return " ".join(text.replace("``", "`").split())
