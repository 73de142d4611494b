"""tfdicom_serve's command line: flags, environment, and what is refused."""

import subprocess
import sys

import pytest
from absl import flags

from tests import served_apps
from tests.real_data import REPOSITORY
from tfdicom import options, serve_main
from tfdicom.serving.serve_options import ServeOptions

TOKEN = served_apps.TOKEN


def options_from(*arguments, **environ):
    values = flags.FlagValues()
    options.define_flags(ServeOptions, module_name="test", flag_values=values)
    values(["tfdicom_serve", *map(str, arguments)])
    return serve_main.options_from(values, environ)


def test_the_environment_says_what_flags_do_not(tmp_path):
    found = options_from(
        TFDICOM_DATA_DIR="d",
        PORT="5000",
        TFDICOM_TOKEN=f" {TOKEN}\n",
        TFDICOM_URL_PREFIX="/a/",
    )
    assert (found.data_dirs, found.port) == (("d",), 5000)
    assert (found.token, found.url_prefix) == (TOKEN, "/a")
    (tmp_path / "token").write_text("another-token-of-the-tests\n")
    found = options_from(
        *("--data_dir=e", "--port=1", f"--token_file={tmp_path}/token"),
        TFDICOM_DATA_DIR="d",
        PORT="5000",
        TFDICOM_TOKEN=TOKEN,
    )
    assert (found.data_dirs, found.port) == (("e",), 1)
    assert found.token == "another-token-of-the-tests"


def test_defaults():
    found = options_from()
    assert (found.host, found.port, found.workers) == ("127.0.0.1", 8080, 2)
    assert found.token is None


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"PORT": "x"}, "PORT='x': a number is wanted"),
        ({"TFDICOM_TOKEN": "short"}, "at least 16"),
        ({"TFDICOM_URL_PREFIX": "a"}, "url_prefix='a'"),
    ],
)
def test_an_environment_that_is_wrong(environ, words):
    with pytest.raises(ValueError, match=words):
        options_from(**environ)


def main(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tfdicom.serve_main", *map(str, arguments)],
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a data set: --data_dir=FOLDER or TFDICOM_DATA_DIR"),
        (["--data_dir=d", "now"], "'now': there are flags only"),
        (["--data_dir=d", "--host=0.0.0.0"], "so a token is wanted: --token_file"),
        (["--data_dir=d", "--host=::"], "so a token is wanted"),
        (["--data_dir=d", "--host=example.org"], "so a token is wanted"),
        (["--data_dir=d", "--token_file=nowhere"], "--token_file: nowhere cannot be"),
        (["--data_dir=d", "--port=70000"], "--port=70000"),
    ],
)
def test_wrong_usage(arguments, words):
    done = main(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_without_a_data_set(tmp_path):
    done = main(f"--data_dir={tmp_path}")
    assert done.returncode == 1
    assert "holds no data set" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_set_without_what_serving_needs(tmp_path):
    served_apps.write(tmp_path / "d")
    (tmp_path / "d" / "dataset.index").unlink()
    done = main(f"--data_dir={tmp_path / 'd'}")
    assert done.returncode == 1
    assert "dataset.index is missing; copy it here" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_every_flag():
    done = main("--help")
    assert done.returncode == 0
    for name, field in ServeOptions.__dataclass_fields__.items():
        flag = f"--[no]{name}" if field.metadata.get("kind") is bool else f"--{name}"
        assert ("help" not in field.metadata) or flag in done.stdout
    assert "--token:" not in done.stdout


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
