"""Deals patients to splits of given sizes so that each gets its share of every label.

First by iterative stratification of multi-label data (Sechidis, Tsoumakas and Vlahavas,
"On the stratification of multi-label data", ECML PKDD 2011), with patients in the place
of examples, amounts in the place of labels that are there or not, and sizes that are
met exactly; where the paper draws, the order of the patients decides, which is that of
their salted hashes. Then two patients change places as long as that helps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

_EXCHANGED = 5000  # more patients are balanced well enough, and comparing all is slow
_PASSES = 10
_GAIN = 1e-9  # less is rounding

#: How much a patient has of each label: 1, or a number of examples.
Amounts = Mapping[str, int]


def stratify(
    patients: Sequence[str],
    amounts: Mapping[str, Amounts],
    places: Mapping[str, int],
    members: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    """Deals patients to splits.

    Args:
      patients: Patients to place, in their order.
      amounts: What each patient has, also those who have a split; none is none.
      places: How many each split takes; they sum to the number of patients.
      members: Patients that each split has already.

    Returns:
      Split by patient.
    """
    names = [name for name, number in places.items() if number]
    held = [patient for name in names for patient in members.get(name, ())]
    labels = _labels([*held, *patients], amounts)
    if not labels:
        dealt = [name for name in names for _ in range(places[name])]
        return dict(zip(patients, dealt, strict=True))
    sizes = np.array([places[name] + len(members.get(name, ())) for name in names])
    tables = [_table(members.get(name, ()), amounts, labels) for name in names]
    have = np.array([one.sum(axis=0) for one in tables])
    state = _State(_table(patients, amounts, labels), have, sizes)
    state.deal([places[name] for name in names])
    if len(patients) <= _EXCHANGED:
        state.exchange()
    return {
        patient: names[split]
        for patient, split in zip(patients, state.split_of, strict=True)
    }


def _labels(patients: Sequence[str], amounts: Mapping[str, Amounts]) -> list[str]:
    found = {
        label
        for patient in patients
        for label, amount in amounts.get(patient, {}).items()
        if amount
    }
    return sorted(found)


def _table(
    patients: Sequence[str], amounts: Mapping[str, Amounts], labels: Sequence[str]
) -> np.ndarray:
    """Amounts, int64 [patients, labels]."""
    found = (amounts.get(patient, {}) for patient in patients)
    rows = [[one.get(label, 0) for label in labels] for one in found]
    return np.array(rows, np.int64).reshape(len(patients), len(labels))


class _State:
    """Who is where, and what each split has of each label."""

    def __init__(self, table: np.ndarray, have: np.ndarray, sizes: np.ndarray):
        self.split_of = np.full(len(table), -1)
        self._table = table
        total = table.sum(axis=0) + have.sum(axis=0)
        # Times the sum of the sizes all is integers, on which every machine agrees.
        self._surplus = have * sizes.sum() - sizes[:, None] * total
        self._whole = sizes.sum()
        # A rare label counts as much as a frequent one, a small split as a large one.
        scale = np.square(total * self._whole, dtype=float)
        self._weight = 1 / (sizes[:, None] * scale)

    def _give(self, patient: int, split: int, sign: int = 1) -> None:
        self._surplus[split] += sign * self._whole * self._table[patient]
        if sign > 0:
            self.split_of[patient] = split

    def deal(self, places: list[int]) -> None:
        """Gives everybody a split: the rarest label first, to whom lacks most of it."""
        waiting = np.ones(len(self._table), bool)
        while waiting.any():
            label = self._rarest(waiting)
            having = waiting & (self._table[:, label] > 0) if label >= 0 else waiting
            for patient in np.flatnonzero(having).tolist():
                open_ = [split for split, number in enumerate(places) if number]
                split = min(
                    open_,
                    key=lambda one: (
                        int(self._surplus[one, label]) if label >= 0 else 0,
                        -places[one],
                    ),
                )
                places[split] -= 1
                self._give(patient, split)
            waiting &= ~having

    def _rarest(self, waiting: np.ndarray) -> int:
        """Label that the fewest of those who wait have; -1 where none has any."""
        having = np.count_nonzero(self._table[waiting], axis=0)
        totals = self._table[waiting].sum(axis=0)
        present = np.flatnonzero(having).tolist()
        found = [(having[at], totals[at], at) for at in present]
        return min(found)[2] if found else -1

    def exchange(self) -> None:
        """Lets pairs of patients change places while that brings balance."""
        for _ in range(_PASSES):
            changed = False
            for one in range(len(self._table)):
                gains = self._gains(one)
                other = int(np.argmax(gains))
                if gains[other] > _GAIN:
                    changed = True
                    first, second = self.split_of[one], self.split_of[other]
                    self._give(one, first, -1)
                    self._give(other, second, -1)
                    self._give(one, second)
                    self._give(other, first)
            if not changed:
                return

    def _gains(self, one: int) -> np.ndarray:
        """By how much imbalance falls when a patient changes places with each other.

        Imbalance is the sum of squared surpluses, weighted.
        """
        split = self.split_of[one]
        gains = np.zeros(len(self._table))
        # Label by label: the order of a sum must not depend on the machine.
        for label in range(self._table.shape[1]):
            more = self._table[:, label] - self._table[one, label]
            more = more * float(self._whole)
            here = self._surplus[split, label]
            there = self._surplus[self.split_of, label]
            weight = self._weight[:, label]
            gains -= weight[split] * more * (2.0 * here + more)
            gains -= weight[self.split_of] * more * (more - 2.0 * there)
        gains[self.split_of == split] = 0
        return gains
