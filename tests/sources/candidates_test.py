import sys

import pytest

from tfdicom.sources.candidates import candidate_name, file_of


@pytest.mark.parametrize("path", ["rt.dcm", "case #1/rt.dcm", "a#b.dcm"])
@pytest.mark.parametrize(("item", "part"), [(None, None), (3, None), (3, 17), (-1, 2)])
def test_the_file_of_a_part(path, item, part):
    assert file_of(candidate_name(path, item, part)) == path


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
