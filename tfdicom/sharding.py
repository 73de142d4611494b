"""Which shard a patient's examples go to: by hash over virtual buckets.

The first conversion gives each bucket in use to a shard, so that shards are of like
size and none is empty; the table is kept, so that patients that come later move nobody.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping

VIRTUAL_BUCKETS = 4096


@dataclasses.dataclass(frozen=True)
class FrozenShards:
    """Shards of a split as an earlier conversion made them.

    Attributes:
      count: How many.
      buckets: Shard of each virtual bucket that was in use.
    """

    count: int
    buckets: Mapping[int, int]


def virtual_bucket(patient: str) -> int:
    """The virtual bucket of a patient's pseudonym."""
    return int(patient[:8], 16) % VIRTUAL_BUCKETS


def fill_shards(
    sizes: Mapping[str, int], count: int, before: Mapping[int, int] | None = None
) -> dict[int, int]:
    """Gives each bucket in use to the emptiest shard, the largest bucket first.

    Args:
      sizes: Bytes of each patient, by pseudonym.
      count: Shards wanted; where fewer buckets are in use, there are fewer.
      before: Shard of the buckets that have one already, of ``count`` shards; they
        keep it.

    Returns:
      The shard of each bucket.
    """
    buckets: dict[int, int] = collections.defaultdict(int)
    for patient, size in sizes.items():
        buckets[virtual_bucket(patient)] += size
    shards = dict(before or {})
    load = [0] * (count if before else min(count, len(buckets)))
    for bucket, shard in shards.items():
        load[shard] += buckets.get(bucket, 0)
    for bucket in sorted(buckets, key=lambda bucket: (-buckets[bucket], bucket)):
        if bucket not in shards:
            shards[bucket] = load.index(min(load))
            load[shards[bucket]] += buckets[bucket]
    return dict(sorted(shards.items()))
