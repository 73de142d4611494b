import signal
import subprocess
import sys

import pytest

from tests.real_data import REPOSITORY

PROGRAM = '''"""What the program is for.

More about it.
"""
from absl import flags
from tfdicom import command
import time
_SIZE = flags.DEFINE_integer("size", 3, "How large.", lower_bound=1)
_RESUMES = "again" in __file__

def wait(how):
    try:
        print("up", flush=True)
        time.sleep(60)
    finally:
        print("cleans up", flush=True)
        if how == "long":
            time.sleep(60)

def main(arguments):
    match arguments[0] if arguments else "":
        case "value": raise ValueError("mend the value")
        case "os": raise FileNotFoundError(2, "gone", "a.dcm")
        case "full": raise OSError(28, "No space left on device", "out/a")
        case "large": raise OSError(27, "File too large", "out/a")
        case "quota": raise OSError(122, "Disk quota exceeded")
        case "read-only": raise OSError(30, "Read-only file system", "out/a")
        case "denied": raise PermissionError(13, "Permission denied", "out/a")
        case "memory": raise MemoryError("3 GiB")
        case "runtime": raise RuntimeError("a worker died")
        case "usage": raise command.UsageError("not so")
        case "interrupt": raise KeyboardInterrupt
        case "wait": wait(arguments[1])
        case "bug": raise ZeroDivisionError("oops")
        case "skips": return command.DONE_WITH_SKIPS
        case "name": arguments = ["M\\udcfcller"]
    print(f"size {_SIZE.value}", *arguments)
    return command.DONE

if __name__ == "__main__":
    command.run(main, resumes=_RESUMES)
'''


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "program.py"
    path.write_text(PROGRAM)

    def run(*arguments, **environment):
        with started(path, *arguments, **environment) as process:
            out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    run.path = path
    return run


def started(path, *arguments, **environment):
    paths = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"}
    return subprocess.Popen(
        [sys.executable, path, *arguments],
        cwd=path.parent,
        env={**paths, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["value"], 1, "Error: mend the value\n"),
        (["os"], 1, "Error: [Errno 2] gone: 'a.dcm'\n"),
        (["runtime"], 1, "Error: a worker died\n"),
        (["interrupt"], 1, "Error: interrupted; nothing half-written is left\n"),
        (
            ["full"],
            1,
            "Error: out/a: no space is left (No space left on device). Make room "
            "there, and run the command again\n",
        ),
        (
            ["large"],
            1,
            "Error: out/a: it would be larger than a file may be there (File too "
            "large). Raise the limit (ulimit -f), or name another folder, and run the ",
        ),
        (["quota"], 1, "Error: no space is left (Disk quota exceeded). Make room"),
        (
            ["read-only"],
            1,
            "Error: out/a: it cannot be read or written (Read-only file system). "
            "Allow it to this user, or name another folder, and run the command again",
        ),
        (["denied"], 1, "Error: out/a: it cannot be read or written (Permission "),
        (["memory"], 1, "Error: out of memory (3 GiB). Give fewer --num_workers"),
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


@pytest.mark.parametrize("length", [10, 1_000_000])  # at the end, and on the way
def test_who_reads_no_further_hears_nothing(program, length):
    with started(program.path, "x" * 10, *["y" * 1000] * (length // 1000)) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 1


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


@pytest.mark.parametrize("argument", ["interrupt", "full"])
def test_what_can_be_continued_says_so(program, tmp_path, argument):
    path = tmp_path / "again.py"
    path.write_text(PROGRAM)
    with started(path, argument) as process:
        error = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert error.endswith(" continues where it stopped\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("how", ["short", "long"])
def test_signals_clean_up_and_the_second_does_not_wait(program, number, how):
    with started(program.path, "wait", how) as process:
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        assert process.stdout.readline() == "cleans up\n"
        if how == "long":
            process.send_signal(number)
        error = process.communicate(timeout=20)[1]
    assert process.returncode == 1
    assert error == "Error: interrupted; nothing half-written is left\n"


@pytest.mark.parametrize(
    "start",
    [["-c", "from tfdicom import entry_points as e; e.convert()"]]
    + [["-m", f"tfdicom.{name}_main"] for name in ("convert", "inspect", "serve")],
    ids=" ".join,
)
def test_signals_while_it_is_still_being_imported(tmp_path, start):
    (tmp_path / "absl").mkdir()
    waits = "import time\nprint('up', flush=True)\ntime.sleep(60)\n"
    (tmp_path / "absl" / "__init__.py").write_text(waits)
    process = subprocess.Popen(
        [sys.executable, *start],
        env={"PYTHONPATH": f"{tmp_path}:{REPOSITORY}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=20)[1]
    assert process.returncode == 1
    assert error.startswith("Error: interrupted; nothing half-written is left")
    assert len(error.splitlines()) == 1


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
