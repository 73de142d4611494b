"""Where work is done: in processes of this machine, or wherever Apache Beam runs it."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Generator, Sequence
from typing import Protocol, TypeVar

from tfdicom import processes
from tfdicom.processes import Death

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class Runner(Protocol):
    """Calls a function with many items, somewhere."""

    def whereabouts(self, folder: pathlib.Path) -> pathlib.Path:
        """The folder as those call it who do the work."""

    def map(
        self,
        function: Callable[[ItemT], ResultT],
        items: Sequence[ItemT],
        *,
        progress: Callable[[int], None],
        on_death: Callable[[ItemT, Death], ItemT],
        together: int,
    ) -> Generator[ResultT, None, None]:
        """Gives the results of ``function(item)``, in the order of the items.

        All ends with the generator: close it where the consumer may fail.

        Args:
          function: A function of a module, or a ``functools.partial`` of one.
          items: Arguments that can be pickled.
          progress: Told how many units ``processes.count_done`` has counted.
          on_death: As for ``processes.map_in_processes``; of a module, too.
          together: How many items make a piece of work that is worth sending away.

        Raises:
          RuntimeError: The work cannot be done there.
          Exception: What the function raised.
        """


@dataclasses.dataclass(frozen=True)
class LocalRunner:
    """Runs work in processes of this machine; with one worker, in this process."""

    workers: int

    def whereabouts(self, folder: pathlib.Path) -> pathlib.Path:
        """The folder."""
        return folder

    def map(
        self,
        function: Callable[[ItemT], ResultT],
        items: Sequence[ItemT],
        *,
        progress: Callable[[int], None],
        on_death: Callable[[ItemT, Death], ItemT],
        together: int = 1,
    ) -> Generator[ResultT, None, None]:
        """As ``Runner.map``."""
        return processes.map_in_processes(
            function,
            items,
            workers=self.workers,
            progress=progress,
            on_death=on_death,
        )
