"""What a withdrawal took out of a data set, and what is to be done now."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Withdrawal:
    """What was taken out.

    Attributes:
      split: The patient's split; empty where only the ledger told of them.
      shard: The shard that was written again; empty where none was.
      examples: Number of records that went.
      searched: Number of files in which nothing of the patient was found afterwards.
      traces: Number of pseudonyms, keys and words that were searched for.
      labels: Labels whose vocabulary lost a word, so that places in it moved.
      classes: Classes of which no annotation is left; names and expressions of
        classes are the user's own words, and stay.
      unowned: Files in the ledger of which nothing tells whose they are.
    """

    split: str
    shard: str
    examples: int
    searched: int
    traces: int
    labels: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    unowned: int = 0

    def __str__(self) -> str:
        """For a terminal."""
        gone = "What the ledger said of the patient's files is gone."
        if self.shard:
            gone = (
                f"{self.examples} examples of split {self.split!r} are gone; "
                f"{self.shard} was written again."
            )
        lines = [
            gone,
            f"Searched {self.searched} files for {self.traces} pseudonyms, keys, "
            "checksums and words of the patient: none is left.",
        ]
        for name in self.labels:
            lines.append(
                f"Label {name!r} has lost words that only this patient had; the "
                "numbers of the words behind them are others now."
            )
        for name in self.classes:
            lines.append(
                f"Class {name!r} is annotated on no example any more. Its name and "
                "expression, which you gave, stay."
            )
        if self.unowned:
            lines.append(
                f"Of {self.unowned} files in the ledger, nothing tells whose they are; "
                "the crosswalk beside the key names them."
            )
        lines.append(
            "Take the patient's files out of the input folder, and their rows out of "
            "tables, before the data set is extended. Copies, models and pictures made "
            "of the data set are not known here."
        )
        return "\n".join(lines)
