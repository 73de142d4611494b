"""What a reader says on stderr, each sentence once in a process."""

from __future__ import annotations

import functools
import sys

from tfdicom.augment.presets import NONE, PRESETS
from tfdicom.input_plan import InputPlan
from tfdicom.label_kinds import describe_label


def announce(plan: InputPlan, split: str) -> None:
    """Says what was chosen for the user, and what is left out."""
    for sentence in plan.warnings:
        say_once(f"tfdicom: split {split}: {sentence}")
    for modality, rule in plan.rules.items():
        say_once(f"tfdicom: normalisation of {modality}: {rule.sentence}")
    if plan.labels.sentence:
        say_once(f"tfdicom: class weights: {plan.labels.sentence}")
    for label in plan.label_layout.labels:
        say_once(f"tfdicom: label {label.name}: {describe_label(label)}")
    if not plan.training and plan.options.augmentation != PRESETS[NONE]:
        say_once(
            f"tfdicom: split {split} is not augmented or shuffled, as its name is not "
            "train; training=True does both"
        )
    if plan.left_out:
        total = plan.examples + plan.left_out
        say_once(
            f"tfdicom: split {split}: {plan.left_out} of {total} examples left out, "
            f"{plan.lacking}"
        )


@functools.cache
def say_once(sentence: str) -> None:
    """Prints a sentence, if it was not printed before."""
    print(sentence, file=sys.stderr)
