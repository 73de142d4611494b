import pickle
import re
import sys

import pytest

from tests import real_data
from tfdicom import reasons
from tfdicom.reasons import FINDINGS, REASONS, InputSkipped

CODES = re.compile(r"[a-z]+(_[a-z]+)+")
SOURCES = "\n".join(
    path.read_text()
    for path in (real_data.REPOSITORY / "tfdicom").rglob("*.py")
    if path.name != "reasons.py"
)


@pytest.mark.parametrize("code", [*REASONS, *FINDINGS])
def test_codes_are_words_and_some_code_gives_them(code):
    assert CODES.fullmatch(code)
    assert f'"{code}"' in SOURCES


@pytest.mark.parametrize("code", REASONS)
def test_sentences_say_what_was_wrong_and_what_to_do(code):
    reason = REASONS[code]
    assert reason.sentence[0].isupper() and reason.sentence.endswith(".")
    if reason.fault:
        assert reason.hint.endswith(".")


def test_skip_carries_its_code_and_survives_a_process():
    error = pickle.loads(pickle.dumps(InputSkipped("no_instance", "here")))
    assert (error.code, error.detail) == ("no_instance", "here")
    assert str(error) == f"{REASONS['no_instance'].sentence} (here)"
    assert str(InputSkipped("no_instance")) == REASONS["no_instance"].sentence


def test_unknown_code_is_refused():
    with pytest.raises(KeyError, match="no reason code 'tired'"):
        reasons.InputSkipped("tired")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
