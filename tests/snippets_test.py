"""Reading the blocks of code of a page."""

import pathlib
import re
import sys

import pytest

from tools import snippets


def _write(folder: pathlib.Path, text: str) -> list[snippets.Snippet]:
    page = folder / "page.md"
    page.write_text(text)
    return snippets.read(page)


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


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
