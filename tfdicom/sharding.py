"""Which shard a patient's examples go to: by hash over virtual buckets.

The first conversion gives each bucket in use to a shard, so that shards are of like
size and none is empty; the table is kept, so that patients that come later move nobody.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping

VIRTUAL_BUCKETS = 4096


def virtual_bucket(patient: str) -> int:
    """The virtual bucket of a patient's pseudonym."""
    return int(patient[:8], 16) % VIRTUAL_BUCKETS


def fill_shards(sizes: Mapping[str, int], count: int) -> dict[int, int]:
    """Gives each bucket in use to the emptiest shard, the largest bucket first.

    Args:
      sizes: Bytes of each patient, by pseudonym.
      count: Shards wanted; where fewer buckets are in use, there are fewer.

    Returns:
      The shard of each bucket in use.
    """
    buckets: dict[int, int] = collections.defaultdict(int)
    for patient, size in sizes.items():
        buckets[virtual_bucket(patient)] += size
    load = [0] * min(count, len(buckets))
    shards = {}
    for bucket in sorted(buckets, key=lambda bucket: (-buckets[bucket], bucket)):
        shards[bucket] = load.index(min(load))
        load[shards[bucket]] += buckets[bucket]
    return dict(sorted(shards.items()))
