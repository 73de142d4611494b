import sys

import pytest

from tfdicom import export_names


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["inner", "outer"], ["inner", "outer"]),
        (["a b/c", "../x"], ["a_b_c", "_x"]),
        (["Lung", "lung", "lung!"], ["Lung", "lung_2", "lung_"]),
        (["a/b", "a b"], ["a_b", "a_b_2"]),
        (["..", "Ödem"], ["class", "Ödem"]),
    ],
)
def test_names_are_parts_of_file_names(names, expected):
    assert export_names.file_words(names) == expected


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
