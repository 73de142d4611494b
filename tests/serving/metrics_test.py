"""Figures of several processes, as Prometheus reads them."""

import os
import re
import sys

import pytest

from tfdicom.serving import metrics
from tfdicom.serving.metrics import Metrics

ROUTES = ["batch", "healthz"]


def value(text, name):
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None


def test_counts():
    one = Metrics(ROUTES)
    one.answered("batch", 200, 0.03)
    one.answered("batch", 200, 0.2)
    one.answered("batch", 418, 100.0)
    one.answered("page", 404, 0.0)
    one.add("batches_total", 2)
    text = one.text()
    requests = "tfdicom_requests_total"
    assert value(text, f'{requests}{{route="batch",status="200"}}') == 2
    assert value(text, f'{requests}{{route="batch",status="other"}}') == 1
    assert value(text, f'{requests}{{route="other",status="404"}}') == 1
    bucket = 'tfdicom_request_seconds_bucket{route="batch",le="%s"}'
    assert value(text, bucket % 0.025) == 0
    assert value(text, bucket % 0.05) == 1
    assert value(text, bucket % 30.0) == 2
    assert value(text, bucket % "+Inf") == 3
    assert value(text, 'tfdicom_request_seconds_count{route="batch"}') == 3
    seconds = value(text, 'tfdicom_request_seconds_sum{route="batch"}')
    assert seconds == pytest.approx(100.23)
    assert value(text, "tfdicom_batches_total") == 2


def test_every_line_has_its_form():
    one = Metrics(ROUTES)
    one.answered("batch", 200, 0.03)
    sample = r'[a-z_]+(\{[a-z]+="[^"]+"(,[a-z]+="[^"]+")*\})? [0-9.]+'
    for line in one.text().splitlines():
        assert re.fullmatch(rf"# (HELP|TYPE) [a-z_]+ .+|{sample}", line), line


def test_processes_count_together():
    table = metrics.table_for(ROUTES, 2)
    child = os.fork()
    if not child:
        Metrics(ROUTES, table=table, row=1).add("batches_total", 5)
        os._exit(0)
    os.waitpid(child, 0)
    own = Metrics(ROUTES, table=table, row=0)
    own.add("batches_total", 2)
    assert value(own.text(), "tfdicom_batches_total") == 7


def test_one_that_takes_a_place_goes_on():
    table = metrics.table_for(ROUTES, 1)
    first = Metrics(ROUTES, table=table)
    first.add("batches_total")
    first.add("requests_in_progress")
    second = Metrics(ROUTES, table=table)
    assert value(second.text(), "tfdicom_batches_total") == 1
    assert value(second.text(), "tfdicom_requests_in_progress") == 0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
