"""Compiles one step of the pixel work."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

#: For functions that ``Dataset.map`` traces: AutoGraph would read and rewrite each
#: callee, which takes most of the time to the first batch and changes nothing.
as_written = tf.autograph.experimental.do_not_convert


@functools.lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Lets the allocator keep the memory of a batch for the next one.

    glibc gives blocks of over 128 KiB back to the system when they are freed, and the
    next batch pays for each page of them again, which costs more than its pixel work.
    Where there is no glibc, nothing is done.
    """
    mmap_threshold, trim_threshold, most = -3, -1, 2**30
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(mmap_threshold, most)
    mallopt(trim_threshold, most)


def kernel(function: Callable, *, jit_compile: bool, **fixed: Any) -> Callable:
    """The function as a graph function of its tensors, by XLA if asked.

    Give each step with a large output a kernel of its own: on a CPU, XLA takes 3 to 6
    times as long for one kernel that gathers for several outputs.

    Args:
      function: Takes tensors by position, and the fixed values by keyword.
      jit_compile: Compile with XLA.
      **fixed: What is known when the graph is built.
    """
    # A closure, as keywords of a partial would count as arguments to be traced.
    # Nothing here is written in Python's if or while, and AutoGraph reads every callee.
    return tf.function(
        lambda *args: function(*args, **fixed),
        jit_compile=jit_compile,
        autograph=False,
    )
