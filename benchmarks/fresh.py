"""What only a new process shows, as JSON: the first batch, and the memory by epoch.

python benchmarks/fresh.py first_batch --folder=D --augment=none --jit_compile=1
python benchmarks/fresh.py memory --folder=D --augment=none --epochs=20
"""

from __future__ import annotations

import argparse
import json
import pathlib
import time

_MB = 1024  # kB


def first_batch(arguments: argparse.Namespace) -> dict[str, float]:
    """Seconds for the imports, and from the call of input_fn to the first batch."""
    start = time.perf_counter()
    import pipelines

    imported = time.perf_counter()
    made = pipelines.reader(
        arguments.folder,
        augment=arguments.augment,
        batch_size=arguments.batch_size,
        jit_compile=bool(arguments.jit_compile),
    )
    next(iter(made))
    return {"import": imported - start, "first": time.perf_counter() - imported}


def memory(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Largest resident memory of each epoch, MB."""
    import pipelines

    made = pipelines.reader(
        arguments.folder, augment=arguments.augment, batch_size=arguments.batch_size
    )
    peaks = []
    for _ in range(arguments.epochs):
        # Linux: 5 sets the peak back to what is resident now.
        pathlib.Path("/proc/self/clear_refs").write_text("5")
        for _ in made:
            pass
        status = pathlib.Path("/proc/self/status").read_text()
        peaks.append(int(status.partition("VmHWM:")[2].split()[0]) / _MB)
    return {"peaks": peaks}


def main() -> None:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("first_batch", "memory"))
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--augment", default="none")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--jit_compile", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    measure = {"first_batch": first_batch, "memory": memory}[arguments.what]
    print(json.dumps(measure(arguments)))


if __name__ == "__main__":
    main()
