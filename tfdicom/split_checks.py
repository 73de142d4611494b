"""Whether the manifest's figures of a split are those of its records."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence

import numpy as np

from tfdicom import label_kinds
from tfdicom.intensity_statistics import FIGURES, IntensityStatistics
from tfdicom.leakage import AuditedExample
from tfdicom.manifest import MANIFEST, Manifest, SplitInfo
from tfdicom.record_checks import are_close
from tfdicom.shard_content import ShardContent
from tfdicom.sharding import virtual_bucket
from tfdicom.verification import Problem

_SPACING_TOLERANCE = 1e-6  # relative: a record holds it with 32 bits


def check_totals(
    name: str, info: SplitInfo, manifest: Manifest, content: ShardContent
) -> Iterator[Problem]:
    """Compares counts and statistics of a split with what its examples add up to."""
    examples = content.frames.total()
    if examples != info.examples:
        text = f"{examples} examples, the manifest says {info.examples}"
        yield _wrong("split_examples", name, text)
    frames = {
        (one.shape, one.dtype, one.modality, one.units): one.examples
        for one in info.frames
    }
    if frames != dict(content.frames):
        text = f"frames are {dict(content.frames)}, the manifest says {frames}"
        yield _wrong("split_frames", name, text)
    for one in manifest.class_names:
        found = content.classes.get(one, collections.Counter())
        told = vars(info.classes[one]) if one in info.classes else {}
        actual = {figure: found[figure] for figure in told}
        if not told or actual != told:
            text = f"class {one!r} has {dict(found)}, the manifest says {told}"
            yield _wrong("split_classes", name, text)
    if set(info.classes) != set(manifest.class_names):
        yield _wrong("split_classes", name, f"the manifest counts {list(info.classes)}")
    for what in ("all", "foreground"):
        tally = content.intensities.get(what)
        actual_figures = tally.statistics() if tally else None
        told_figures = info.intensities.get(what)
        for text in _different(actual_figures, told_figures):
            yield _wrong("split_intensities", name, f"of {what} pixels, {text}")
    spacing = info.pixel_spacing or ()
    if len(spacing) != len(content.spacings) or not np.allclose(
        spacing, content.spacings, rtol=_SPACING_TOLERANCE, atol=0
    ):
        text = f"spacings are {content.spacings}, the manifest says {spacing}"
        yield _wrong("split_spacing", name, text)
    labels = label_kinds.label_frequencies(manifest.labels, content.labels)
    if labels != dict(info.labels):
        yield _wrong("split_labels", name, "values of labels are counted otherwise")


def _wrong(code: str, split: str, text: str) -> Problem:
    return Problem(code, f"split {split!r}: {text}", MANIFEST)


def _different(
    actual: IntensityStatistics | None, told: IntensityStatistics | None
) -> Iterator[str]:
    if actual is None or told is None:
        if actual is not told:
            yield "there are figures without values, or none"
        return
    if actual.count != told.count:
        yield f"there are {actual.count}, the manifest says {told.count}"
    pairs = zip(FIGURES, actual.to_floats(), told.to_floats(), strict=True)
    for figure, one, other in pairs:
        if not are_close(one, other, actual.deviation):
            yield f"{figure} is {one:g}, the manifest says {other:g}"


class PatientChecks:
    """Where patients are: each in one shard, together, in the order of the manifest."""

    def __init__(self, manifest: Manifest) -> None:
        """Starts before the first shard."""
        self._manifest = manifest
        self._told = {
            name: frozenset(info.patients) for name, info in manifest.splits.items()
        }
        self._shard_of: dict[str, str] = {}
        self._order: dict[str, list[str]] = collections.defaultdict(list)

    def check_shard(
        self, split: str, file: str, examples: Sequence[AuditedExample]
    ) -> Iterator[Problem]:
        """Checks the patients of the next shard, in the manifest's order."""
        seen: set[str] = set()
        last = ""
        for one in examples:
            patient = one.patient
            if patient == last:
                continue
            last = patient
            if patient in seen:
                text = f"patient {patient} is in two places of one shard"
                yield Problem("patient_apart", text, file, key=one.name)
                continue
            seen.add(patient)
            for code, text in self._check_patient(patient, split, file):
                yield Problem(code, text, file, key=one.name)

    def _check_patient(
        self, patient: str, split: str, file: str
    ) -> Iterator[tuple[str, str]]:
        other = self._shard_of.setdefault(patient, file)
        if other != file:
            yield "patient_in_two_shards", f"patient {patient} is in {other}, too"
        told = self._manifest.split_table.get(patient)
        if told != split:
            where = f"in split {told!r}" if told else "in none"
            yield "patient_split", f"the split table has patient {patient} {where}"
        if patient not in self._told[split]:
            yield "patient_unknown", f"the manifest's split lacks patient {patient}"
        self._order[split].append(patient)
        wanted = _shard_of(self._manifest, split, patient)
        if wanted is not None and wanted != file:
            yield "patient_bucket", f"patient {patient} belongs to {wanted}"

    def number(self, split: str) -> int:
        """Patients of a split that were met."""
        return len(set(self._order[split]))

    def check_order(self) -> Iterator[Problem]:
        """Whether the patients of each split come in the manifest's order."""
        for split, info in self._manifest.splits.items():
            found = self._order[split]
            known = set(found)
            told = [patient for patient in info.patients if patient in known]
            if found != told and set(told) == known and len(found) == len(known):
                text = "patients come in another order than the manifest's"
                yield _wrong("patient_order", split, text)
        for patient, split in self._manifest.split_table.items():
            if split not in self._manifest.splits:
                text = f"patient {patient} is said to be in {split!r}, which is none"
                yield Problem("patient_split", text, MANIFEST)


def _shard_of(manifest: Manifest, split: str, patient: str) -> str | None:
    """The shard that the patient's virtual bucket goes to, if the manifest says so."""
    shards = manifest.splits[split].shards
    try:
        place = manifest.buckets[split][str(virtual_bucket(patient))]
        return shards[place].file
    except (KeyError, IndexError, ValueError):
        return None
