"""Every block of code in README and docs runs, or says why it is not run.

README.md and tutorial.md, the longest, run in readme_test.py.
"""

import collections
import sys

import pytest

from tests import snippet_folders
from tests.snippet_folders import LONGEST, PAGES, page_snippets, run_page
from tools import snippet_runner, snippets

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


def _every() -> list[snippets.Snippet]:
    return [snippet for name in PAGES for snippet in page_snippets(name)]


@pytest.mark.parametrize("name", PAGES)
def test_python_blocks_compile(name):
    for snippet in page_snippets(name):
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


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(PAGES) - set(LONGEST)))
def test_a_page_runs(name, tmp_path, templates, monkeypatch):
    snippet_folders.shorten_training(monkeypatch)
    print(*run_page(page_snippets(name), tmp_path, templates), sep="\n")


@pytest.mark.estimator
@pytest.mark.parametrize("name", ["README.md", "reading.md", "labels.md"])
def test_blocks_for_estimators_run(name, tmp_path, templates):
    wanted = [
        one
        for one in page_snippets(name)
        if one.notes.get("needs") == "tensorflow_estimator"
    ]
    assert wanted
    assert not run_page(wanted, tmp_path, templates, estimator=True)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
