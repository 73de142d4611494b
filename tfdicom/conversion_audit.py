"""The audit at the end of a conversion: what is in two splits, and what looks alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfdicom import shard_results
from tfdicom.leakage import AuditedExample, LeakageAudit, Place
from tfdicom.ledger import Ledger
from tfdicom.near_duplicates import LikeImages
from tfdicom.plan import Plan
from tfdicom.shard_results import ExampleTrace, ShardResult

_NAMED = 10


@dataclasses.dataclass(frozen=True)
class ConversionAudit:
    """What was found; names are paths and source patients, for the terminal."""

    leakage: LeakageAudit
    images: LikeImages

    def notes(self) -> list[str]:
        """What is shared inside a split, and images that look the same."""
        found = [str(one) for one in self.leakage.shared if not one.is_leak]
        found += [str(one) for one in self.images.patients()]
        more = len(found) - _NAMED
        return found[:_NAMED] + ([f"and {more} more such pairs"] if more > 0 else [])


def audit(
    results: Sequence[ShardResult], plan: Plan, ledger: Ledger
) -> ConversionAudit:
    """Audits what came of all shards.

    Args:
      results: In the manifest's order.
      plan: Which knows the patients by their source identifiers.
      ledger: Which knows the paths.
    """
    found = ConversionAudit(LeakageAudit(), LikeImages())
    people = {
        patient.patient: patient.source_patient
        for shard in plan.shards
        for patient in shard.patients
    }
    for result in results:
        for patient in result.patients:
            for trace in patient.traces:
                name = ledger.name_of(trace.candidate)
                place = Place(result.split, people[patient.patient], name)
                found.leakage.add(_audited(trace, place))
                signature = shard_results.signature_bytes(trace)
                found.images.add(signature, place, trace.pixel_hash)
    return found


def _audited(trace: ExampleTrace, place: Place) -> AuditedExample:
    return AuditedExample(
        split=place.split,
        patient=place.patient,
        study=trace.study,
        series=trace.series,
        instance=trace.instance,
        pixel_hash=trace.pixel_hash,
        name=place.name,
    )
