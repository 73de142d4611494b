"""The documentation says what the code does."""

import pathlib
import re
import subprocess
import sys

import pytest

from tests.real_data import REPOSITORY
from tools import docs

SEEN = re.DOTALL | re.MULTILINE
#: Flags of other programs, and of this repository's own scripts.
FOREIGN = {
    *("flagfile", "help", "no-deps"),
    *("environment_type", "parallelism", "save_main_session"),  # Beam
    *("job_endpoint", "temp_location", "worker_pool"),
    *("cold", "files", "only", "pages", "size", "smoke", "tables"),  # benchmarks
}
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
    for target in re.findall(r"\]\(([^):]+)\)", page.read_text()):
        name, _, heading = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), target
        assert not heading or heading in _headings(linked.read_text()), target


def _headings(text: str) -> set[str]:
    """As GitHub names them in links."""
    found = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", one.lower()) for one in found)
    return {one.replace(" ", "-") for one in words}


def test_every_page_is_in_the_contents():
    contents = (REPOSITORY / "docs" / "index.md").read_text()
    pages = {page.name for page in (REPOSITORY / "docs").glob("*.md")}
    assert set(re.findall(r"\]\((\w+\.md)\)", contents)) == pages - {"index.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_that_a_page_names_are_flags(page):
    tables = (REPOSITORY / "docs" / "flags.md").read_text()
    known = set(re.findall(r"^\| `--(\w+)`", tables, re.MULTILINE))
    assert "input_dir" in known and "role" in known and "augment" in known
    seen = re.sub(r"<!--.*?-->|^```.*?^```$", "", page.read_text(), flags=SEEN)
    named = set(re.findall(r"`[^`\n]*?--([a-z][a-z_-]*[a-z])", seen))
    assert named - known <= FOREIGN


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


def test_tools_run_as_scripts():
    command = [sys.executable, str(REPOSITORY / "tools" / "docs.py"), "--check"]
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"}
    subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
