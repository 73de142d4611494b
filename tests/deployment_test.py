"""What platforms read from the checkout to build it."""

import re
import sys

import pytest

from tests.real_data import REPOSITORY

#: As heroku-buildpack-python takes it, first of runtime.txt, then .python-version.
HEROKU = re.compile(r"(\d+\.\d+)(\.\d+)?")
#: Cloud Foundry's buildpack looks for a version that it has: of 3.11 it has no 3.11.0,
#: which is what python-3.11 would ask for.
CLOUD_FOUNDRY = re.compile(r"python-(\d+\.\d+)\.x")


def _text(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def test_each_platform_finds_its_form_of_one_python():
    heroku = HEROKU.fullmatch(_text(".python-version").strip())
    other = CLOUD_FOUNDRY.fullmatch(_text("runtime.txt").strip())
    assert heroku[1] == other[1]
    assert f'python_requires=">={heroku[1]}"' in _text("setup.py")


def test_heroku_does_not_see_what_it_refuses():
    refused = _text("runtime.txt").strip().removeprefix("python-")
    assert HEROKU.fullmatch(refused) is None
    # Removed before any buildpack looks.
    assert "/runtime.txt" in _text(".slugignore").splitlines()


def test_both_install_the_server():
    assert _text("requirements.txt").splitlines()[-1] == ".[serve]"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
