"""Measures tfdicom's reader and its peers side by side, as Markdown tables.

  python benchmarks/reader.py                         # the main table, minutes
  python benchmarks/reader.py --peers_python=.venv/peers/bin/python
  python benchmarks/reader.py --tables=sizes,batches,passes,first_batch,memory
  python benchmarks/reader.py --smoke                 # every table, tiny, seconds

``bash tools/peers.sh`` installs the peers. All read the same images; every row is
measured once in each round, so that a machine that slows down slows them all, and the
tables show the median of the rounds. A ratio in brackets is that of processor time.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator, Sequence

from absl import app, flags

# Before TensorFlow is imported; its notes would stand between the tables.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import dataset  # noqa: E402
import pipelines  # noqa: E402
import rounds  # noqa: E402

_PEERS = rounds.HERE.parent / ".venv" / "peers" / "bin" / "python"
_TABLES = ("speed", "sizes", "batches", "passes", "first_batch", "memory")

_SIZE = flags.DEFINE_integer("size", 256, "Rows and columns.", lower_bound=16)
_BATCH = flags.DEFINE_integer("batch_size", 32, "Examples in a batch.", lower_bound=1)
_EXAMPLES = flags.DEFINE_integer(
    "examples", 2048, "Examples at 256 x 256; fewer of larger ones.", lower_bound=16
)
_SECONDS = flags.DEFINE_float("seconds", 5.0, "Of each measurement.", lower_bound=0.05)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Rounds.", lower_bound=1)
_PYTHON = flags.DEFINE_string("peers_python", str(_PEERS), "Python with the peers.")
_DATA = flags.DEFINE_string("data_dir", None, "Keep the images here, to use again.")
_CHOSEN = flags.DEFINE_list("tables", ["speed"], f"Of {', '.join(_TABLES)}.")
_ONLY = flags.DEFINE_list("only", [], "Only rows whose name holds one of these.")
_EPOCHS = flags.DEFINE_integer("epochs", 20, "Epochs of the table memory.")
_SMOKE = flags.DEFINE_bool("smoke", False, "Tiny sizes: shows that it runs.")

#: Row -> whether it runs beside tfdicom, and its name in peers.py.
_PEER_ROWS = {
    "albumentations (OpenCV), 2 workers": (False, "albumentations"),
    "batchgeneratorsv2, 2 workers": (False, "batchgeneratorsv2"),
    "DALI on the CPU, 2 threads": (False, "dali"),
    "MONAI, 2 workers": (False, "monai"),
    "TorchIO, 2 workers": (False, "torchio"),
    "Keras ImageDataGenerator, 2 workers": (True, "keras_generator"),
    "Keras 3 preprocessing layers": (True, "keras_layers"),
}
#: Job in peers.py -> the augmentation that is the same.
_JOBS = {"affine": "affine", "full": "affine + intensity + noise"}


def _examples(size: int) -> int:
    """As many bytes at every size, from 256 on."""
    fewer = _EXAMPLES.value * 256**2 // max(size, 256) ** 2
    return max(fewer, 4 * _shards())


def _shards() -> int:
    return 4 if _SMOKE.value else 16


@contextlib.contextmanager
def _images(size: int) -> Iterator[pathlib.Path]:
    """A folder with the data set at this size: a new one, or the one that is kept."""
    with contextlib.ExitStack() as stack:
        if _DATA.value:
            folder = pathlib.Path(_DATA.value) / f"{size}x{size}"
        else:
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if not (folder / dataset.COMPACT / "dataset.json").exists():
            examples, shards = _examples(size), _shards()
            dataset.write(folder, size=size, examples=examples, shards=shards)
        yield folder


def _chosen(name: str) -> bool:
    return not _ONLY.value or any(word in name for word in _ONLY.value)


def _own_rows(
    folder: pathlib.Path, size: int, batch_size: int
) -> dict[str, rounds.Measure]:
    made = pipelines.endless(folder, size=size, batch_size=batch_size)
    return {
        name: _own_measure(make, _examples(size))
        for name, make in made.items()
        if _chosen(name)
    }


def _own_measure(make: pipelines.Make, examples: int) -> rounds.Measure:
    built: list = []  # once: XLA's programs are then compiled in the first round only

    def measure() -> rounds.Found:
        try:
            built[:] = built or [make()]
        except (TypeError, ValueError) as error:
            return f"skipped: {str(error).strip().splitlines()[-1]}"
        return pipelines.speed(built[0], _SECONDS.value, examples)

    return measure


def _peer_rows(folder: pathlib.Path) -> dict[str, rounds.Measure]:
    return {
        f"{row}: {_JOBS[job]}": _peer_measure(own, name, job, folder / dataset.ARRAYS)
        for job in _JOBS
        for row, (own, name) in _PEER_ROWS.items()
        if _chosen(row)
    }


def _peer_measure(
    own: bool, name: str, job: str, arrays: pathlib.Path
) -> rounds.Measure:
    python = sys.executable if own else _PYTHON.value

    def measure() -> rounds.Found:
        options = (f"--job={job}", f"--arrays={arrays}", f"--seconds={_SECONDS.value}")
        found = rounds.in_new_process(
            python, "peers.py", name, *options, f"--batch_size={_BATCH.value}"
        )
        if "skipped" in found:
            return f"skipped: {found['skipped']}"
        return rounds.Speed(**found)

    return measure


def speed() -> None:
    """This pipeline, plain tf.data and the peers."""
    with _images(_SIZE.value) as folder:
        rows = _own_rows(folder, _SIZE.value, _BATCH.value) | _peer_rows(folder)
        rates = rounds.in_rounds(rows, _REPEATS.value)
    table = []
    for name, rate in rates.items():
        job = name.rpartition(": ")[2]
        job = "no augmentation" if name.startswith("plain") else job
        ours = rates.get(pipelines.row(job, "none"))
        cached = rates.get(pipelines.row(job, "memory"))
        ratios = [rounds.ratio(one, rate) for one in (ours, cached)]
        of_raw = rounds.ratio(rate, rates.get(pipelines.RAW))
        table.append([name, *rounds.speed_cells(rate), of_raw, *ratios])
    size = f"{_SIZE.value} x {_SIZE.value}, batch {_BATCH.value}"
    faster = ("tfdicom read anew / this", "tfdicom cached / this")
    rounds.markdown([size, "images/s", "CPU ms/image", "of raw", *faster], table)


def _grid(title: str, cases: dict[str, tuple[int, int]]) -> None:
    """Speed for some (size, batch size)."""
    with contextlib.ExitStack() as stack:
        wanted = {size for size, _ in cases.values()}
        folders = {size: stack.enter_context(_images(size)) for size in wanted}
        rows: dict[str, rounds.Measure] = {}
        for case, (size, batch_size) in cases.items():
            own = _own_rows(folders[size], size, batch_size)
            names = [pipelines.row(name, "none") for name in pipelines.COMPARED]
            rows |= {f"{name} @ {case}": own[name] for name in names if name in own}
        rates = rounds.in_rounds(rows, _REPEATS.value)
    table = []
    for name, rate in sorted(rates.items(), key=lambda item: item[0].split(" @ ")[0]):
        what, _, case = name.partition(" @ ")
        cells = [what, case, *rounds.speed_cells(rate)]
        if isinstance(rate, rounds.Speed):
            size = cases[case][0]
            cells.append(rounds.number(rate.cost * 256**2 / size**2, ".2f"))
        table.append(cells)
    header = ["pipeline", title, "images/s", "CPU ms/image", "CPU ms/256 x 256 pixels"]
    rounds.markdown(header, table)


def sizes() -> None:
    """The work grows with the number of pixels."""
    wanted = (16, 32) if _SMOKE.value else (256, 512, 1024)
    _grid("size", {f"{size} x {size}": (size, _BATCH.value) for size in wanted})


def batches() -> None:
    """The size of a batch matters little."""
    wanted = (2, 4) if _SMOKE.value else (8, 16, 32, 64, 128)
    _grid("batch", {str(batch): (_SIZE.value, batch) for batch in wanted})


def passes() -> None:
    """First pass and later ones, with and without a cache."""
    table = []
    with _images(_SIZE.value) as folder:
        for cache in ("none", "memory"):
            made = pipelines.reader(
                folder, augment="none", batch_size=_BATCH.value, cache=cache
            )
            timed = [pipelines.count_for(iter(made), 1e9) for _ in range(3)]
            rates = [rounds.number(images / taken) for images, taken in timed]
            table.append([f"cache={cache}", *rates])
    header = ["no augmentation", "pass 1, images/s", "pass 2", "pass 3"]
    rounds.markdown(header, table)


def _fresh(folder: pathlib.Path, what: str, name: str, *options: str) -> dict:
    augment = f"--augment={pipelines.AUGMENTATIONS[name]}"
    common = (f"--folder={folder}", f"--batch_size={_BATCH.value}", augment)
    return rounds.in_new_process(sys.executable, "fresh.py", what, *common, *options)


def first_batch() -> None:
    """Seconds to the first batch in a new process, with XLA and without."""
    table = []
    with _images(_SIZE.value) as folder:
        for name in filter(_chosen, pipelines.AUGMENTATIONS):
            for xla, value in {"yes": 1, "no": 0}.items():
                found = _fresh(folder, "first_batch", name, f"--jit_compile={value}")
                figures = (
                    found.get(k, found.get("skipped")) for k in ("import", "first")
                )
                table.append([name, xla, *(rounds.number(f, ".1f") for f in figures)])
    rounds.markdown(["pipeline", "XLA", "import, s", "first batch, s"], table)


def memory() -> None:
    """Largest resident memory of each epoch."""
    table = []
    with _images(_SIZE.value) as folder:
        for name in filter(_chosen, pipelines.COMPARED):
            found = _fresh(folder, "memory", name, f"--epochs={_EPOCHS.value}")
            peaks = found.get("peaks") or [found["skipped"]]
            shown = (peaks[0], peaks[len(peaks) // 2], peaks[-1])
            table.append([name, *map(rounds.number, shown)])
    header = ["peak resident memory, MB", "epoch 1", "middle", f"epoch {_EPOCHS.value}"]
    rounds.markdown(header, table)


def main(arguments: Sequence[str]) -> None:
    """Prints the tables asked for."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected argument {arguments[1]!r}")
    made = (speed, sizes, batches, passes, first_batch, memory)
    known = dict(zip(_TABLES, made, strict=True))
    if unknown := set(_CHOSEN.value) - set(known):
        raise app.UsageError(f"no table {', '.join(unknown)}; known: {_TABLES}")
    if _SMOKE.value:
        tiny = {"size": 32, "batch_size": 4, "examples": 32, "seconds": 0.05}
        for name, value in {**tiny, "repeats": 1, "epochs": 2}.items():
            flags.FLAGS[name].value = value
    for table in _CHOSEN.value:
        known[table]()


if __name__ == "__main__":
    app.run(main)
