import contextlib
import os
import subprocess
import sys

import pytest
from absl import flags
from absl.testing import flagsaver

from tests import real_data, source_folders
from tfdicom import command, convert_main, manifest
from tfdicom.output_folder import ASIDE


@contextlib.contextmanager
def parsed(*arguments):
    """The flags of the process as this command line gives them."""
    with flagsaver.flagsaver():
        yield flags.FLAGS(["tfdicom_convert", *map(str, arguments)])


def main(*arguments):
    with parsed(*arguments) as others:
        return convert_main.main(others[1:])


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "tfdicom.convert_main", *map(str, arguments)],
        cwd=real_data.REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def folders(source, tmp_path):
    return f"--input_dir={source.root}", f"--output_dir={tmp_path / 'out'}"


def test_done(source, tmp_path, capsys):
    code = main(*folders(source, tmp_path), "--id_key_file=public", "--split=train")
    assert code == command.DONE
    printed = capsys.readouterr().out
    assert "6 examples in" in printed and "split" in printed
    assert manifest.load_manifest(tmp_path / "out").splits["train"].examples == 6


def test_done_with_skips(source, tmp_path, capsys):
    source.contour(source.patients[0], 1).write_text("")
    code = main(*folders(source, tmp_path), "--id_key_file=public", "--split=train")
    assert code == command.DONE_WITH_SKIPS
    assert "1 skipped: contour_empty" in capsys.readouterr().out


def test_what_a_policy_leaves_out_is_no_skip(source, tmp_path):
    (source.root / "notes.txt").write_text("x")
    split = f"--split=train:{source.patients[0]},test:{source.patients[1]}"
    code = main(
        *folders(source, tmp_path), "--id_key_file=public", split, "--classes=inner"
    )
    assert code == command.DONE


def test_dry_run_needs_no_output(source, capsys):
    code = main(f"--input_dir={source.root}", "--dry_run", "--id_key_file=public")
    assert code == command.DONE
    assert "Nothing was written (--dry_run)." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "both --input_dir and --output_dir are wanted"),
        (["--input_dir=x"], "both --input_dir and --output_dir"),
        (["--input_dir=x", "--output_dir=y", "stray"], "unexpected argument 'stray'"),
        (["--input_dir=x", "--output_dir=y", "--classes=a;a"], "different names"),
        (["--input_dir=x", "--output_dir=y", "--split=a:0.1,b:0.2"], "sum to 1"),
        (["--input_dir=x", "--output_dir=y", "--layout=custom"], "image_pattern"),
    ],
)
def test_wrong_usage(arguments, words):
    with pytest.raises(command.UsageError, match=words):
        main(*arguments)


def test_commands_exit_codes_and_key(source, tmp_path):
    config = tmp_path / "config"
    arguments = (*folders(source, tmp_path), "--num_workers=2", "--split=train")
    done = run(*arguments, XDG_CONFIG_HOME=str(config))
    assert done.returncode == 0, done.stderr
    assert f"Made the key of the pseudonyms, {config}/tfdicom/id.key" in done.stderr
    assert f"the crosswalk is {config}/tfdicom/crosswalk-" in done.stdout
    again = run(*arguments, XDG_CONFIG_HOME=str(config))
    assert again.returncode == 0
    assert "Reused: 3 shards as they were, 3 patients; written: 0 shards" in (
        again.stdout
    )
    other = run(*arguments, "--edge_rule=inside", XDG_CONFIG_HOME=str(config))
    assert other.returncode == 1
    errors = other.stderr[other.stderr.index("Error: ") :]
    assert "other values of --edge_rule;" in errors and "--overwrite" in errors
    assert "Traceback" not in other.stderr
    source.image(source.patients[0], 1).write_text("no image")
    skips = run(*arguments, "--overwrite", XDG_CONFIG_HOME=str(config))
    assert skips.returncode == 3, skips.stderr


def test_commands_wrong_usage():
    done = run("--input_dir=x", "--output_dir=y", "--edge_rule=outside")
    assert done.returncode == 2
    assert "--edge_rule" in done.stderr and "half_covered" in done.stderr


def test_worker_that_is_killed_leaves_no_data_set(tmp_path):
    """The out-of-memory killer ends a worker while it writes its shard."""
    source = source_folders.write_folder(tmp_path / "in")
    code = (
        "import os, signal\n"
        "from tfdicom import convert_main, examples\n"
        "def die(*arguments, **fields):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "examples._example = die\n"
        "convert_main.run()\n"
    )
    arguments = (*folders(source, tmp_path), "--id_key_file=public", "--num_workers=2")
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=real_data.REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "a worker process died" in done.stderr
    with pytest.raises(FileNotFoundError):
        manifest.load_manifest(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [ASIDE]
    # With memory enough, the same command tries again what killed its workers.
    assert main(*arguments) == command.DONE
    splits = manifest.load_manifest(tmp_path / "out").splits.values()
    assert sum(split.examples for split in splits) == 6


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
