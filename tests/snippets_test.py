"""Every block of code in README and docs runs, or says why it is not run."""

import collections
import functools
import os
import pathlib
import re
import subprocess
import sys

import pytest

from tests import snippet_folders
from tests.real_data import REPOSITORY
from tools import snippet_runner, snippets

PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")])
NAMES = [page.name for page in PAGES]
#: How many blocks of a page are not run. The page says why; a new one is told here.
NOT_RUN = {
    "README.md": 2,
    "beam.md": 5,
    "deployment.md": 2,
    "from_keras.md": 1,
    "from_monai.md": 1,
    "from_torchio.md": 1,
    "remote.md": 2,
    "serving.md": 1,
    "speed.md": 3,
    "tutorial.md": 1,
}
#: Flags of other programs that pages name.
FOREIGN = {"no-deps"}


@functools.cache
def _page(name: str) -> tuple[snippets.Snippet, ...]:
    (path,) = (page for page in PAGES if page.name == name)
    return tuple(snippets.read(path))


def _every() -> list[snippets.Snippet]:
    return [snippet for name in NAMES for snippet in _page(name)]


def _write(folder: pathlib.Path, text: str) -> list[snippets.Snippet]:
    page = folder / "page.md"
    page.write_text(text)
    return snippets.read(page)


def _running(folder: pathlib.Path, **names) -> snippet_runner.PageRun:
    def prepare(name: str, new: pathlib.Path) -> None:
        (new / "name").write_text(name)

    return snippet_runner.PageRun(folder, prepare, names)


def _run(folder: pathlib.Path, text: str, **names) -> snippet_runner.PageRun:
    page = _write(folder, text)
    with _running(folder, **names).running() as run:
        for snippet in page:
            run.run(snippet)
    return run


def test_blocks_and_the_notes_above_them(tmp_path):
    first, second = _write(
        tmp_path,
        "text\n\n<!-- exit code: 3 -->\n<!-- with: A => B -->\n```sh\nA\n```\n"
        "<!-- not run: no net -->\n\n```python\nx\n```\n",
    )
    assert (first.language, first.code, first.line) == ("sh", "A\n", 6)
    assert first.notes == {"exit code": "3", "with": "A => B"}
    assert snippets.replaced(first) == "B\n"
    assert first.is_run and not second.is_run
    assert second.place == "page.md:11"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```\nx\n```\n", "page.md:2: language ''"),
        ("```ruby\nx\n```\n", "page.md:2: language 'ruby'"),
        ("<!-- skip -->\n```sh\nx\n```\n", "page.md:3: note 'skip'"),
    ],
)
def test_what_a_page_must_not_say(tmp_path, text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        _write(tmp_path, text)


def test_what_is_to_be_replaced_must_be_there(tmp_path):
    (snippet,) = _write(tmp_path, "<!-- with: C => D -->\n```sh\nA\n```\n")
    with pytest.raises(ValueError, match="page.md:3: there is no 'C'"):
        snippets.replaced(snippet)


def test_a_command_over_several_lines_is_one():
    code = "# words\na --b \\\n  --c\nd --e='f\n  g'\n"
    assert snippets.commands(code) == ["a --b    --c", "d --e='f   g'"]


def test_blocks_share_folder_and_names(tmp_path):
    text = (
        "```python\nx = y + 1\n```\n```sh\necho 2 > two\n```\n"
        "```python\nprint(x, open('two').read())\n```\n"
        "<!-- output -->\n```text\n8 ...\n```\n"
    )
    assert _run(tmp_path, text, y=7).printed == "8 2\n\n"


def test_a_new_folder_is_prepared(tmp_path):
    text = "<!-- folder: other -->\n```sh\ntest $(cat name) = other\n```\n"
    _run(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```sh\nfalse | true\n```\n", "page.md:2: exit code 1, not 0"),
        ("<!-- exit code: 1 -->\n```sh\ntrue\n```\n", "exit code 0, not 1"),
        (
            "```sh\necho 1\n```\n<!-- output -->\n```text\n2\n```\n",
            "the page says\n2",
        ),
    ],
)
def test_what_does_not_end_or_print_as_the_page_says(tmp_path, text, message):
    with pytest.raises(AssertionError, match=message):
        _run(tmp_path, text)


def test_an_error_in_python_names_the_line_of_the_page(tmp_path):
    with pytest.raises(ZeroDivisionError) as caught:
        _run(tmp_path, "words\n\n```python\nx = 1\n1 / 0\n```\n")
    assert caught.traceback[-1].lineno + 1 == 5


def test_what_needs_an_absent_module_is_told(tmp_path):
    run = _run(tmp_path, "<!-- needs: no_such -->\n```sh\nfalse\n```\n")
    assert run.left_out == ["page.md:3: no no_such"]


def test_a_server_runs_until_the_page_ends(tmp_path):
    text = (
        "<!-- server: 8080 -->\n```sh\npython -m http.server 8080\n```\n"
        "```python\nimport urllib.request\n"
        "print(urllib.request.urlopen('http://localhost:8080/name').status)\n```\n"
        "<!-- output -->\n```text\n200\n```\n"
    )
    run = _run(tmp_path, text)
    assert all(server.poll() is not None for server in run._servers)


def test_wrong_commands_are_found():
    lines = [
        "cat x | tfdicom_convert --input_dir=IN --hole_rule=none > log",
        "tfdicom_convert --input_dir=IN --output_dir=OUT --max_error_rate=7",
        "tfdicom_inspect verify --data_dir=OUT  # all of it",
        "pip install --nonsense",
    ]
    first, second = snippet_runner.wrong_commands(lines)
    assert "hole_rule" in first and "max_error_rate" in second


@pytest.mark.parametrize("name", NAMES)
def test_python_blocks_compile(name):
    for snippet in _page(name):
        if snippet.language == "python":
            compile(snippet.code, snippet.place, "exec")


def test_the_flag_parsers_take_every_command():
    lines = [
        line
        for snippet in _every()
        if snippet.language == "sh" and "exit code" not in snippet.notes
        for line in snippets.commands(snippets.replaced(snippet))
    ]
    assert len(lines) > 40
    assert not snippet_runner.wrong_commands(lines)


def test_what_is_not_run_is_known_and_says_why():
    left_out = [one for one in _every() if "not run" in one.notes]
    assert all(snippet.notes["not run"] for snippet in left_out)
    assert collections.Counter(one.page for one in left_out) == NOT_RUN


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    return snippet_folders.Templates(tmp_path_factory.mktemp("templates"))


@pytest.fixture
def _short_training(monkeypatch):
    """Pages train for many epochs; one shows that it works."""
    import tensorflow as tf

    whole = tf.keras.Model.fit

    def fit(self, *args, **keywords):
        last = keywords.get("initial_epoch", 0) + 1
        keywords["epochs"] = min(keywords.get("epochs", 1), last)
        return whole(self, *args, **{"verbose": 0, **keywords})

    monkeypatch.setattr(tf.keras.Model, "fit", fit)


@pytest.mark.slow
@pytest.mark.usefixtures("_short_training")
@pytest.mark.parametrize("name", NAMES)
def test_a_page_runs(name, tmp_path, templates):
    names = snippet_folders.names()
    run = snippet_runner.PageRun(tmp_path, templates.prepare, names)
    with run.running():
        for snippet in _page(name):
            run.run(snippet)
    print(*run.left_out, *run.seconds.items(), sep="\n")


@pytest.mark.estimator
@pytest.mark.usefixtures("_short_training")
@pytest.mark.parametrize("name", ["README.md", "reading.md", "labels.md"])
def test_blocks_for_estimators_run(name, tmp_path, templates):
    names = {**snippet_folders.names(), **snippet_folders.estimator_names()}
    run = snippet_runner.PageRun(tmp_path, templates.prepare, names)
    wanted = [
        one
        for one in _page(name)
        if "tensorflow_estimator" in one.notes.get("needs", "")
    ]
    assert wanted
    with run.running():
        for snippet in wanted:
            run.run(snippet)
    assert not run.left_out


@pytest.mark.slow
def test_the_demo_runs(tmp_path):
    command = [sys.executable, "examples/demo.py", f"--output_dir={tmp_path}"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [*command, "--epochs=1"],
        cwd=REPOSITORY,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "epoch 0, batch 1: image (2, 128, 128, 1)" in done.stdout
    assert (tmp_path / "contact_sheet.png").stat().st_size > 100_000


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
