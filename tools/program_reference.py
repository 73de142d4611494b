"""What each command takes, as Markdown: its uses, and a table of its flags.

Flags are asked for in an interpreter of its own for each command, as two commands may
define one name.
"""

from __future__ import annotations

import ast
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
_USE = re.compile(r"^  (tfdicom_\w+ .*)\n((?:^      .*\n)+)", re.MULTILINE)
_DUMP = """
import importlib, json, sys
from absl import flags
module = importlib.import_module(sys.argv[1])
from tfdicom.input_options import InputOptions
known = flags.FLAGS.flags_by_module_dict().get(sys.argv[1], [])
read = getattr(InputOptions, "__dataclass_fields__") if sys.argv[2:] else ()
print(json.dumps([
    {"name": one.name, "default": one.default, "help": one.help,
     "choices": list(getattr(one.parser, "enum_values", None) or [])}
    for one in known if one.name not in read
]))
"""


def flag_table(program: str, *, without_reader: bool = False) -> str:
    """The flags of a command that its own module defines.

    Args:
      program: Name of the module, as ``inspect_main``.
      without_reader: Leave out those of ``InputOptions``, which have a table.
    """
    command = [sys.executable, "-c", _DUMP, f"tfdicom.{program}"]
    command += ["without"] * without_reader
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment
    )
    rows = ["| flag | default | meaning |", "|---|---|---|"]
    for flag in json.loads(done.stdout):
        default = "" if flag["default"] is None else f"`{flag['default']}`"
        # absl puts the choices in front of the help.
        text = re.sub(r"^<[^>]*>: ", "", flag["help"])
        words = f" One of {', '.join(flag['choices'])}." if flag["choices"] else ""
        meaning = " ".join(f"{text}{words}".split()).replace("|", "\\|")
        rows.append(f"| `--{flag['name']}` | {default} | {meaning} |")
    return "\n".join(rows)


def uses(program: str) -> str:
    """The uses of a command, as the docstring of its module has them."""
    path = ROOT / "tfdicom" / f"{program}.py"
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    rows = ["| command | what it does |", "|---|---|"]
    for command, text in _USE.findall(doc + "\n"):
        meaning = " ".join(text.split()).replace("|", "\\|")
        rows.append(f"| `{command.strip()}` | {meaning} |")
    if len(rows) == 2:
        raise ValueError(f"the docstring of {path} shows no use of the command")
    return "\n".join(rows)
