import subprocess
import sys

import pytest

from tests.real_data import REPOSITORY

PROGRAM = '''"""What the program is for.

More about it.
"""
from absl import flags
from tfdicom import command
_SIZE = flags.DEFINE_integer("size", 3, "How large.", lower_bound=1)

def main(arguments):
    match arguments[0] if arguments else "":
        case "value": raise ValueError("mend the value")
        case "os": raise FileNotFoundError(2, "gone", "a.dcm")
        case "runtime": raise RuntimeError("a worker died")
        case "usage": raise command.UsageError("not so")
        case "interrupt": raise KeyboardInterrupt
        case "bug": raise ZeroDivisionError("oops")
        case "skips": return command.DONE_WITH_SKIPS
        case "name": arguments = ["M\\udcfcller"]
    print(f"size {_SIZE.value}", *arguments)
    return command.DONE

if __name__ == "__main__":
    command.run(main)
'''


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "program.py"
    path.write_text(PROGRAM)

    def run(*arguments, **environment):
        paths = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"}
        return subprocess.run(
            [sys.executable, path, *arguments],
            cwd=path.parent,
            env={**paths, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["value"], 1, "Error: mend the value\n"),
        (["os"], 1, "Error: [Errno 2] gone: 'a.dcm'\n"),
        (["runtime"], 1, "Error: a worker died\n"),
        (["interrupt"], 1, "Error: interrupted; nothing half-written is left\n"),
        (["usage"], 2, "Error: not so\nTry --help.\n"),
        (["--size=0"], 2, "Error: flag --size=0: "),
        (["--colour=red"], 2, "Error: Unknown command line flag 'colour'"),
        (["skips"], 3, ""),
    ],
)
def test_exit_codes(program, arguments, code, message):
    done = program(*arguments)
    assert done.returncode == code
    assert done.stderr.startswith(message)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_flags_and_arguments_reach_main(program, tmp_path):
    flagfile = tmp_path / "a.flags"
    flagfile.write_text("# Larger.\n--size=7\n")
    done = program("one", f"--flagfile={flagfile}", "two")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "size 7 one two\n"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_name_of_a_file_that_no_terminal_can_show(program, encoding):
    done = program("name", PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    assert done.stdout == "size 3 M\\udcfcller\n"


def test_bug_shows_where_it_is(program):
    done = program("bug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "ZeroDivisionError: oops" in done.stderr


@pytest.mark.parametrize("flag", ["--help", "--helpfull", "-h"])
def test_help_shows_what_it_is_for_and_its_flags(program, flag):
    done = program(flag)
    assert done.returncode == 0
    assert done.stdout.startswith("What the program is for.\n\nMore about it.\n")
    assert "--size: How large." in done.stdout
    assert "--flagfile" in done.stdout
    assert "pdb" not in done.stdout  # flags of absl itself


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
