"""Running the blocks of code of a page."""

import pathlib
import sys

import pytest

from tools import snippet_runner, snippets


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


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
