"""The handlers of the routes that need no TensorFlow."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import flask

from tfdicom import example_schema
from tfdicom.serving import descriptions, openapi, pictures, searching
from tfdicom.serving.data_sets import Served
from tfdicom.serving.errors import ApiError
from tfdicom.serving.parameters import read_query
from tfdicom.serving.routes import BINARY, PNG, TEXT, Route
from tfdicom.version import VERSION

Values = dict[str, Any]
Handler = Callable[[Served, Values], Any]

_KEPT_BY_BROWSERS = "private, max-age=600"
_GZIP_FROM, _GZIP_TO = 1 << 10, 1 << 24  # bytes


def datasets(served: Served, values: Values) -> Any:
    """``/v1/datasets``."""
    found = [descriptions.data_set(served.data_set(name)) for name in served.names]
    return {"datasets": found}


def examples(served: Served, values: Values) -> Any:
    """``/v1/examples``."""
    one = served.data_set(values["dataset"])
    names = ("split", "patient", "series", "finding", "label", "q", "sort")
    asked = searching.Question(
        shows=values["class"], **{name: values[name] for name in names}
    )
    places = searching.search(
        one.catalog, one.manifest.class_names, one.label_names, asked
    )
    shown = places[values["offset"] :][: values["limit"]]
    return {
        "dataset": one.name,
        "total": len(places),
        "offset": values["offset"],
        "facts_complete": one.catalog.facts.complete,
        "examples": [descriptions.row(one, int(place)) for place in shown],
    }


def example(served: Served, values: Values) -> Any:
    """``/v1/examples/{key}``."""
    one = served.data_set(values["dataset"])
    return descriptions.example(one, one.place_of(values["key"]))


def history(served: Served, values: Values) -> Any:
    """``/v1/examples/{key}/history``."""
    one = served.data_set(values["dataset"])
    return descriptions.history(one, one.place_of(values["key"]))


def example_png(served: Served, values: Values) -> Any:
    """``/v1/examples/{key}.png``."""
    one = served.data_set(values["dataset"])
    found = one.example(one.place_of(values["key"]))
    picture = pictures.example_png(
        found,
        window=_window(values["window"]),
        opacity=values["mask"],
        contours=values["contours"],
        crop=values["crop"],
        size=values["size"],
    )
    return _kept(flask.Response(picture, mimetype=PNG))


def _window(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    center, width = map(float, text.split(","))
    return center, width


def pixels(served: Served, values: Values) -> Any:
    """``/v1/examples/{key}/pixels``."""
    one = served.data_set(values["dataset"])
    found = one.example(one.place_of(values["key"]))
    if values["form"] == "stored":
        data, dtype = found.pixels, found.dtype
        slope, intercept = found.rescale_slope, found.rescale_intercept
    else:
        data = pictures.modality_values(found).astype("<f4", copy=False).tobytes()
        dtype, slope, intercept = "float32", 1.0, 0.0
    response = _binary(data, tuple(found.shape), dtype)
    response.headers["X-Tfdicom-Slope"] = repr(slope)
    response.headers["X-Tfdicom-Intercept"] = repr(intercept)
    return response


def masks(served: Served, values: Values) -> Any:
    """``/v1/examples/{key}/masks``."""
    one = served.data_set(values["dataset"])
    found = one.example(one.place_of(values["key"]))
    planes = found.masks
    packed = values["form"] == "packed"
    data = example_schema.pack_planes(planes) if packed else planes.tobytes()
    return _binary(data, planes.shape, "bits" if packed else "uint8")


def _binary(data: bytes, shape: tuple[int, ...], dtype: str) -> flask.Response:
    response = flask.Response(data, mimetype=BINARY)
    response.headers["X-Tfdicom-Shape"] = ",".join(map(str, shape))
    response.headers["X-Tfdicom-Dtype"] = dtype
    return _kept(_squeezed(response))


def series(served: Served, values: Values) -> Any:
    """``/v1/series/{series}``."""
    one = served.data_set(values["dataset"])
    return descriptions.series(one, one.first_of_series(values["series"]))


def statistics(served: Served, values: Values) -> Any:
    """``/v1/statistics``."""
    return descriptions.statistics(served.data_set(values["dataset"]))


def healthz(served: Served, values: Values) -> Any:
    """``/healthz``."""
    return {"status": "ok", "version": VERSION}


def metrics(served: Served, values: Values) -> Any:
    """``/metrics``."""
    text = served.tools["metrics"].text()
    return flask.Response(text, content_type=f"{TEXT}; version=0.0.4; charset=utf-8")


def document(served: Served, values: Values) -> Any:
    """``/openapi.json``."""
    return openapi.document(
        served.tools["routes"],
        server=flask.request.script_root or "/",
        with_token=served.options.token is not None,
    )


def batch(served: Served, values: Values) -> Any:
    """``/v1/batch``."""
    # TensorFlow, which the others do without.
    from tfdicom.serving.batch_answers import batch as answer

    return answer(served, values)


def augmented(served: Served, values: Values) -> Any:
    """``/v1/augmented/{key}``."""
    from tfdicom.serving.batch_answers import augmented as answer

    return answer(served, values)


HANDLERS: dict[str, Handler] = {
    "datasets": datasets,
    "examples": examples,
    "example": example,
    "history": history,
    "example_png": example_png,
    "pixels": pixels,
    "masks": masks,
    "series": series,
    "statistics": statistics,
    "augmented": augmented,
    "batch": batch,
    "healthz": healthz,
    "metrics": metrics,
    "openapi": document,
}


def blueprint(served: Served) -> flask.Blueprint:
    """The API, with each route of the table registered."""
    found = flask.Blueprint("api", __name__)
    for route in served.tools["routes"]:
        found.add_url_rule(
            route.path.replace("{", "<").replace("}", ">"),
            endpoint=route.name,
            view_func=_view(served, route),
            methods=["GET"],
            provide_automatic_options=False,
        )
    return found


def _view(served: Served, route: Route) -> Callable[..., Any]:
    """Checks a request as the table says, and answers it."""
    in_path = {one.name: one for one in route.parameters if one.in_path}

    def view(**parts: str) -> Any:
        query = flask.request.args.items(multi=True)
        values = read_query(route.parameters, query)
        for name, text in parts.items():
            if not in_path[name].accepts(text):
                raise ApiError(404, "not_found", f"there is no {name} {text[:40]!r}")
            values[name] = text
        answer = HANDLERS[route.name](served, values)
        if isinstance(answer, dict):
            return _squeezed(flask.jsonify(answer))
        return answer

    return view


def _kept(response: flask.Response) -> flask.Response:
    """Records do not change: a browser may keep what is made of them for a while."""
    response.headers["Cache-Control"] = _KEPT_BY_BROWSERS
    response.headers["Vary"] = "Accept-Encoding, Authorization, Cookie"
    return response


def _squeezed(response: flask.Response) -> flask.Response:
    """The answer with gzip, if the client takes it and it is worth it."""
    data = response.get_data()
    takes = flask.request.accept_encodings.quality("gzip") > 0
    if takes and _GZIP_FROM <= len(data) <= _GZIP_TO:
        response.set_data(gzip.compress(data, compresslevel=1, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
    return response
