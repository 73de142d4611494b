"""Compiles one step of the pixel work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


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
    return tf.function(lambda *args: function(*args, **fixed), jit_compile=jit_compile)
