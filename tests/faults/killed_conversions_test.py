import random
import sys

import pytest

from tests import real_data
from tests.faults import killed_conversions

FLAGS = ("--split=train:0.67,test:0.33", "--num_workers=2")


@pytest.mark.slow
@real_data.needs_sunnybrook
@pytest.mark.parametrize("seed", range(2))
def test_killed_conversions_end_with_the_same_bytes(sunnybrook_dataset, tmp_path, seed):
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    output = tmp_path / "out"
    arguments = killed_conversions.command(real_data.SUNNYBROOK, output, *FLAGS)
    outcome = killed_conversions.convert_killed(
        arguments,
        output,
        whole=killed_conversions.digests(sunnybrook_dataset),
        seconds=3.0,
        environment=environment,
        chance=random.Random(seed),
    )
    assert outcome.digest == killed_conversions.digest(sunnybrook_dataset)
    assert outcome.partial == ()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
