"""Runs the blocks of a page, one after the other, as a reader would.

Shell blocks run under ``bash -euo pipefail`` with tfdicom's commands on the PATH;
Python blocks share the names of their page, within this process.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib.util
import io
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tools import snippets
from tools.snippets import Snippet

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = {
    "tfdicom_convert": "tfdicom.convert_main",
    "tfdicom_data_service": "tfdicom.data_service_main",
    "tfdicom_inspect": "tfdicom.inspect_main",
    "tfdicom_serve": "tfdicom.serve_main",
}
_START_SECONDS = 60
_SHELL_SECONDS = 300


class PageRun:
    """What the blocks of one page share: folder, names, servers, what was printed.

    Args:
      folder: Where everything of it happens.
      prepare: Makes a new folder as a page's ``folder`` note names it.
      namespace: Names that Python blocks find.
      environment: Variables for the shell, beside those of this process.
      shortened: Whether what a page's ``with`` notes say is put in its place.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        prepare: Callable[[str, pathlib.Path], None],
        namespace: dict[str, Any],
        environment: dict[str, str] | None = None,
        *,
        shortened: bool = True,
    ) -> None:
        """Keeps what it is given; ``running`` begins."""
        self._top = folder
        self._prepare = prepare
        self._namespace = namespace
        self._shortened = shortened
        self._ports: dict[str, str] = {}
        self._servers: list[subprocess.Popen] = []
        self._folders = 0
        self.folder = folder
        self.printed = ""
        self.left_out: list[str] = []
        self.seconds: dict[str, float] = {}
        self._environment = {
            **os.environ,
            "PATH": f"{_programs(folder)}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            **(environment or {}),
        }

    @contextlib.contextmanager
    def running(self) -> Iterator[PageRun]:
        """Goes to the folder, and ends the servers of the page at the end."""
        before = pathlib.Path.cwd()
        try:
            self.enter("")
            yield self
        finally:
            os.chdir(before)
            for server in self._servers:
                os.killpg(server.pid, signal.SIGTERM)
            for server in self._servers:
                server.wait(timeout=_START_SECONDS)

    def enter(self, name: str) -> None:
        """Makes a new folder, prepared as ``name``, and goes there."""
        self._folders += 1
        self.folder = self._top / f"folder{self._folders}"
        self.folder.mkdir()
        self._prepare(name, self.folder)
        os.chdir(self.folder)

    def run(self, snippet: Snippet) -> None:
        """Runs a block, or compares what the last one printed with it.

        Raises:
          AssertionError: It did not end or print as the page says.
        """
        if "output" in snippet.notes:
            self._compare(snippet)
        if not snippet.is_run:
            return
        needed = snippet.notes.get("needs")
        if needed and importlib.util.find_spec(needed) is None:
            self.left_out.append(f"{snippet.place}: no {needed}")
            return
        start = time.monotonic()
        self._run(snippet)
        self.seconds[snippet.place] = time.monotonic() - start

    def _run(self, snippet: Snippet) -> None:
        if "folder" in snippet.notes:
            self.enter(snippet.notes["folder"])
        first = snippet.notes.get("first", "")
        code = self._code(snippet)
        if "server" in snippet.notes:
            self._start_server(snippet)
        elif snippet.language == "sh":
            self._shell(f"{first}\n{code}", snippet)
        elif "own process" in snippet.notes:
            self._own_process(f"{first}\n{code}", snippet)
        else:
            self._python(first, code, snippet)

    def _code(self, snippet: Snippet) -> str:
        code = snippets.replaced(snippet) if self._shortened else snippet.code
        for written, free in self._ports.items():
            code = code.replace(written, free)
        return code

    def _compare(self, snippet: Snippet) -> None:
        checker = doctest.OutputChecker()
        options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        wanted = snippet.code
        assert checker.check_output(wanted, self.printed, options), (
            f"{snippet.place}: the page says\n{wanted}\nand printed was\n{self.printed}"
        )

    def _start_server(self, snippet: Snippet) -> None:
        written = snippet.notes["server"]
        self._ports[written] = str(_free_port())
        code = self._code(snippet)
        server = subprocess.Popen(
            ["bash", "-euc", code],
            cwd=self.folder,
            env={**self._environment, "PORT": self._ports[written]},
            start_new_session=True,
        )
        self._servers.append(server)
        _wait_for(int(self._ports[written]), server, snippet)

    def _shell(self, code: str, snippet: Snippet) -> None:
        self._subprocess(["bash", "-euo", "pipefail", "-c", code], snippet)

    def _own_process(self, code: str, snippet: Snippet) -> None:
        self._subprocess([sys.executable, "-c", code], snippet)

    def _subprocess(self, command: Sequence[str], snippet: Snippet) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SHELL_SECONDS,
            check=False,
        )
        self.printed = done.stdout
        expected = int(snippet.notes.get("exit code", 0))
        assert done.returncode == expected, (
            f"{snippet.place}: exit code {done.returncode}, not {expected}\n"
            f"{snippet.code}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )

    def _python(self, first: str, code: str, snippet: Snippet) -> None:
        output = io.StringIO()
        lines = "\n" * (snippet.line - 1)  # so that an error names the page's line
        with contextlib.redirect_stdout(output), warnings.catch_warnings():
            exec(compile(first, f"{snippet.place} first", "exec"), self._namespace)
            exec(compile(lines + code, snippet.page, "exec"), self._namespace)
        self.printed = output.getvalue()


def _programs(folder: pathlib.Path) -> pathlib.Path:
    """A folder with tfdicom's commands, and this Python as ``python``."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    python = shlex.quote(sys.executable)
    calls = {name: f"-m {module} " for name, module in PROGRAMS.items()}
    for name, call in {**calls, "python": ""}.items():
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec {python} {call}"$@"\n')
        script.chmod(0o755)
    return programs


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(port: int, server: subprocess.Popen, snippet: Snippet) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("localhost", port)),
        ):
            return
        time.sleep(0.1)
    raise AssertionError(f"{snippet.place}: no server on port {port}")


# In a fresh interpreter for each program, as two of them may define one flag.
_PARSE = """
import importlib, json, sys
from absl import flags
module = importlib.import_module(sys.argv[1])
wrong = []
for words in json.load(sys.stdin):
    flags.FLAGS.unparse_flags()
    for name in list(flags.FLAGS):
        flags.FLAGS[name].unparse()
    try:
        flags.FLAGS(words)
        if sys.argv[1] == "tfdicom.convert_main":
            from tfdicom import options
            options.from_flags(module.ConvertOptions)
    except (flags.Error, ValueError, OSError) as error:
        wrong.append(f"{' '.join(words)}: {error}")
print(json.dumps(wrong))
"""


def wrong_commands(lines: Sequence[str]) -> list[str]:
    """What tfdicom's own flag parsers refuse among command lines of a shell.

    Args:
      lines: Command lines; those of other programs are passed over.

    Returns:
      The refused ones, each with the reason.
    """
    import json

    by_module: dict[str, list[list[str]]] = {}
    for line in lines:
        words = _words(line)
        # A page's flagfile is the reader's own, if it is none of the repository's.
        words = [word for word in words if not _is_own_flagfile(word)]
        if words:
            by_module.setdefault(PROGRAMS[words[0]], []).append(words)
    wrong: list[str] = []
    for module, commands in by_module.items():
        done = subprocess.run(
            [sys.executable, "-c", _PARSE, module],
            input=json.dumps(commands),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        wrong += json.loads(done.stdout)
    return wrong


def _is_own_flagfile(word: str) -> bool:
    name, _, file = word.partition("=")
    return name == "--flagfile" and not (ROOT / file).exists()


def _words(line: str) -> list[str]:
    """The words of the first tfdicom command of a line; none if there is none."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words = list(lexer)
    starts = [at for at, word in enumerate(words) if word in PROGRAMS]
    if not starts:
        return []
    words = words[starts[0] :]
    ends = [at for at, word in enumerate(words) if set(word) <= set("|&;<>")]
    return words[: ends[0]] if ends else words
