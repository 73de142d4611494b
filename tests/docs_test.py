"""The documentation says what the code does."""

import pathlib
import re
import subprocess
import sys

import pytest

from tests.real_data import REPOSITORY
from tools import docs

PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_generated_tables_are_up_to_date(page):
    text = page.read_text()
    assert docs.fill(text) == text, "run python tools/docs.py"


def test_every_table_is_shown_somewhere():
    shown = {
        name
        for page in PAGES
        for name in re.findall(r"<!-- generated: (\w+) -->", page.read_text())
    }
    assert shown == set(docs.TABLES)


def test_a_stale_table_is_noticed():
    page = "<!-- generated: record -->\nold\n<!-- end -->\n"
    assert docs.fill(page) != page
    assert docs.record_table() in docs.fill(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_readme_names_every_flag_that_it_shows():
    from tfdicom.convert_options import ConvertOptions

    known = set(ConvertOptions.__dataclass_fields__)
    known |= {"flagfile", "data_dir", "out", "help", "no-deps"}
    named = set(
        re.findall(r"--([a-z][a-z_-]*[a-z])", (REPOSITORY / "README.md").read_text())
    )
    assert named <= known


def test_check_fails_when_a_page_is_stale(tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("<!-- generated: augment -->\n<!-- end -->\n")
    monkeypatch.setattr(docs, "ROOT", pathlib.Path(tmp_path))
    monkeypatch.setattr(sys, "argv", ["docs.py", "--check"])
    assert docs.main() == 1
    monkeypatch.setattr(sys, "argv", ["docs.py"])
    assert docs.main() == 0
    monkeypatch.setattr(sys, "argv", ["docs.py", "--check"])
    assert docs.main() == 0


def _python_blocks():
    for page in PAGES:
        blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
        yield from ((page.name, block) for block in blocks)


@pytest.mark.parametrize(("page", "block"), list(_python_blocks()))
def test_python_snippets_compile(page, block):
    compile(block, page, "exec")


def test_tools_run_as_scripts():
    command = [sys.executable, str(REPOSITORY / "tools" / "docs.py"), "--check"]
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"}
    subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
