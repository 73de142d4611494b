"""The blocks of code in a Markdown page, and what the page says about running them.

A fenced block in ``sh`` or ``python`` is run by a test, in the order of the page, in a
folder where ``IN`` is a small input folder and ``OUT`` the data set made of it. HTML
comments directly above a block, which readers do not see, say what else holds:

  <!-- not run: REASON -->     it is only compiled, its commands are only parsed
  <!-- needs: MODULE -->       it is run where this Python module is installed
  <!-- folder: NAME -->        first go to a new folder, prepared as NAME
  <!-- first: CODE -->         code of the same language that is run before it
  <!-- with: A => B; C => D --> text that is replaced in it before it is run
  <!-- exit code: N -->        what its last command ends with, if not 0
  <!-- server: PORT -->        it runs until the page ends; wait for this port
  <!-- own process -->         Python that wants an interpreter of its own
  <!-- output -->              above a ``text`` block: what the block before it printed,
                               with ... for anything
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterator, Mapping

#: Every language that a block may say.
LANGUAGES = ("sh", "python", "text", "json", "yaml", "dockerfile")
#: Those that are run.
RUN = ("sh", "python")
NOTES = (
    "not run",
    "needs",
    "folder",
    "first",
    "with",
    "exit code",
    "server",
    "own process",
    "output",
)
_BLOCK = re.compile(
    r"(?P<notes>(?:^<!--(?:(?!-->).)*-->\n+)*)"
    r"^```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_NOTE = re.compile(r"<!--\s*(?P<name>[a-z ]+?)\s*(?::\s*(?P<value>.*?))?\s*-->", re.S)


@dataclasses.dataclass(frozen=True)
class Snippet:
    """A fenced block.

    Attributes:
      page: Name of the page's file.
      line: Number of its first line of code, from 1.
      language: As written after the fence.
      code: Its lines.
      notes: What the comments above it say, by name; "" where there is no value.
    """

    page: str
    line: int
    language: str
    code: str
    notes: Mapping[str, str]

    @property
    def is_run(self) -> bool:
        """Whether a test runs it."""
        return self.language in RUN and "not run" not in self.notes

    @property
    def place(self) -> str:
        """Where it stands, as a compiler would say it."""
        return f"{self.page}:{self.line}"


def read(page: pathlib.Path) -> list[Snippet]:
    """The blocks of a page, in order.

    Raises:
      ValueError: A block says no language or an unknown one, or a comment above it is
        none of those above; the message names page and line.
    """
    return list(_snippets(page.name, page.read_text(encoding="utf-8")))


def _snippets(page: str, text: str) -> Iterator[Snippet]:
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("code")) + 1
        language = found["language"]
        if language not in LANGUAGES:
            known = ", ".join(LANGUAGES)
            raise ValueError(
                f"{page}:{line}: language {language!r}; say one of {known}"
            )
        notes = _notes(found["notes"])
        for name in notes:
            if name not in NOTES:
                known = ", ".join(NOTES)
                raise ValueError(f"{page}:{line}: note {name!r}; known are {known}")
        yield Snippet(page, line, language, found["code"], notes)


def _notes(comments: str) -> dict[str, str]:
    found = _NOTE.finditer(comments)
    notes = {one["name"]: one["value"] or "" for one in found}
    notes.pop("end", None)  # of a generated table
    return notes


def replaced(snippet: Snippet) -> str:
    """The code with what ``with`` says put in its place.

    Raises:
      ValueError: The code does not hold a text that is to be replaced.
    """
    code = snippet.code
    for pair in snippet.notes.get("with", "").split(";"):
        if pair.strip():
            old, _, new = (part.strip() for part in pair.partition("=>"))
            if old not in code:
                raise ValueError(f"{snippet.place}: there is no {old!r} to replace")
            code = code.replace(old, new)
    return code


def commands(code: str) -> list[str]:
    """The command lines of a shell block, with what continues over lines joined."""
    lines: list[str] = []
    pending = ""
    for line in code.splitlines():
        pending = f"{pending} {line}" if pending else line
        if pending.endswith("\\"):
            pending = pending[:-1]
        elif pending.count("'") % 2 == 0 and pending.count('"') % 2 == 0:
            lines.append(pending)
            pending = ""
    return [
        line for line in lines if line.strip() and not line.lstrip().startswith("#")
    ]
