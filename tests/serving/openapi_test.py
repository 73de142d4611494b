"""The document is what is served: schemathesis asks, and compares."""

import sys

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import CHECKS
from schemathesis.generation import GenerationMode

from tests import served_apps
from tfdicom.serving import openapi
from tfdicom.serving.routes import routes
from tfdicom.serving.serve_options import ServeOptions

schemathesis.checks.load_all_checks()
LIMITS = {
    # A batch of these takes milliseconds, but a new graph of each takes seconds.
    "max_batch_pixels": 12 * 16 * 3 * 8,
    "queue_seconds": 60.0,
}


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    folder = tmp_path_factory.mktemp("openapi") / "little"
    served_apps.write(folder)
    app = served_apps.app_of(folder, **LIMITS)
    app.test_client().get("/v1/examples")  # reads all records
    return schemathesis.openapi.from_wsgi("/openapi.json", app)


MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
PATHS = [route.path for route in routes(ServeOptions())]
MAKE_BATCHES = {"/v1/batch", "/v1/augmented/{key}"}


def ask(api, path, mode, count, *, without=()):
    """Asks as often, in ways that the document allows, or that it does not."""
    operation = api[path]["GET"]

    @hypothesis.settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def asked(case):
        headers = {"Accept-Encoding": "identity"}
        case.call_and_validate(headers=headers, excluded_checks=without)

    asked()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path", sorted(set(PATHS) - MAKE_BATCHES))
def test_answers_are_as_described(api, path, mode):
    if mode is GenerationMode.NEGATIVE and not api[path]["GET"].definition.raw.get(
        "parameters"
    ):
        pytest.skip("nothing to get wrong")
    ask(api, path, mode, 20)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path", sorted(MAKE_BATCHES))
def test_batches_are_as_described(api, path, mode):
    # What a text of the reader's options may say, no schema can.
    ask(api, path, mode, 10, without=CHECKS.get_by_names(["positive_data_acceptance"]))


def test_checks_are_those_that_matter():
    names = {check.__name__ for check in CHECKS.get_all()}
    assert {
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "unsupported_method",
    } <= names


def test_limits_are_in_the_document():
    table = routes(ServeOptions(max_batch_size=17))
    found = openapi.document(table, server="/", with_token=True)
    parameters = found["paths"]["/v1/batch"]["get"]["parameters"]
    (size,) = (one for one in parameters if one["name"] == "batch_size")
    assert size["schema"]["maximum"] == 17
    assert found["security"] == [{"token": []}]
    assert found["paths"]["/healthz"]["get"]["security"] == []
    assert "401" not in found["paths"]["/healthz"]["get"]["responses"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
