"""Token, cookie, headers, and working below a prefix."""

import sys

import pytest

from tests import served_apps
from tests.served_apps import TOKEN, error_of
from tfdicom.serving import security

BEARER = {"Authorization": f"Bearer {TOKEN}"}
PAGE = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("secure") / "little"
    served_apps.write(found)
    return found


@pytest.fixture
def client(folder):
    return served_apps.app_of(folder, token=TOKEN).test_client()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer " + TOKEN[:-1]},
        {"Authorization": "Bearer " + TOKEN + "x"},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer ümläut-of-sixteen"},
        {"Cookie": f"{security.COOKIE}={TOKEN}"},
        {"Cookie": f"{security.COOKIE}="},
    ],
)
def test_wrong_tokens(client, headers):
    for path in ("/v1/datasets", "/v1/batch", "/metrics", "/openapi.json", "/v1/none"):
        answer = client.get(path, headers=headers)
        assert (answer.status_code, error_of(answer)["code"]) == (401, "no_token")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_the_right_token(client):
    for path in ("/v1/datasets", "/metrics", "/openapi.json"):
        assert client.get(path, headers=BEARER).status_code == 200


def test_health_is_for_everybody(client):
    assert client.get("/healthz").status_code == 200


def test_a_browser_logs_in(client):
    assert client.get("/", headers=PAGE).headers["Location"] == "/login"
    page = client.get("/login")
    assert page.status_code == 200 and "password" in page.text
    wrong = client.post("/login", data={"token": "no"})
    assert wrong.status_code == 401 and "Set-Cookie" not in wrong.headers
    right = client.post("/login", data={"token": TOKEN})
    assert (right.status_code, right.headers["Location"]) == (303, "/")
    cookie = right.headers["Set-Cookie"]
    for word in ("HttpOnly", "SameSite=Strict", "Path=/"):
        assert word in cookie
    assert TOKEN not in cookie
    assert client.get("/v1/datasets").status_code == 200


def test_the_cookie_of_https_is_for_https_alone(client):
    headers = {"X-Forwarded-Proto": "https"}
    answer = client.post("/login", data={"token": TOKEN}, headers=headers)
    assert "Secure" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("attacker.example", 421),
        ("attacker.example:8080", 421),
        ("localhost.attacker.example", 421),
        ("127.0.0.1.attacker.example", 421),
        ("user@localhost", 421),
        ("", 421),
        ("localhost:8080", 200),
        ("LOCALHOST.", 200),
        ("127.0.0.1", 200),
        ("127.1.2.3:9", 200),
        ("[::1]:8080", 200),
        ("proxy.example:443", 200),
        ("Other.example", 200),
    ],
)
def test_names_under_which_it_answers_without_a_token(folder, host, status):
    app = served_apps.app_of(folder, allowed_hosts="proxy.example, other.example")
    answer = app.test_client().get("/v1/datasets", headers={"Host": host})
    assert answer.status_code == status
    if status != 200:
        assert error_of(answer)["code"] == "unknown_host"


def test_with_a_token_any_name_will_do(client):
    answer = client.get("/v1/datasets", headers={**BEARER, "Host": "any.example"})
    assert answer.status_code == 200


def test_without_a_token_nobody_logs_in(folder):
    answer = served_apps.app_of(folder).test_client().get("/login")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")


def test_a_body_that_is_too_large(client):
    answer = client.post("/login", data={"token": "x" * 10_000})
    assert (answer.status_code, error_of(answer)["code"]) == (413, "too_large")


@pytest.mark.parametrize("path", ["/", "/v1/datasets", "/nowhere", "/login"])
def test_every_answer_has_the_headers(client, path):
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    policy = headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("prefix", "path", "headers"),
    [
        ("/tf", "/tf/login", {}),  # a proxy that leaves it
        ("/tf", "/login", {}),  # one that cuts it off
        ("", "/login", {"X-Forwarded-Prefix": "/tf"}),
        ("", "/tf/login", {"X-Forwarded-Prefix": "/tf/"}),
        ("/a/b-c", "/a/b-c/login", {}),
    ],
)
def test_below_a_prefix(folder, prefix, path, headers):
    client = served_apps.app_of(folder, url_prefix=prefix, token=TOKEN).test_client()
    answer = client.post(path, data={"token": TOKEN}, headers=headers)
    shown = prefix or "/tf"
    assert answer.headers["Location"] == f"{shown}/"
    assert f"Path={shown}" in answer.headers["Set-Cookie"]
    document = client.get("/openapi.json", headers={**headers, **BEARER}).json
    assert document["servers"] == [{"url": shown}]


@pytest.mark.parametrize(
    "prefix", ["//evil.org", "https://evil.org", "/a\\b", '/"x', "/..", "/a/../b"]
)
def test_a_prefix_that_leads_astray_counts_for_nothing(client, prefix):
    headers = {"X-Forwarded-Prefix": prefix, **PAGE}
    assert client.get("/", headers=headers).headers["Location"] == "/login"


def test_a_path_that_only_begins_like_the_prefix(folder):
    client = served_apps.app_of(folder, url_prefix="/tf").test_client()
    assert client.get("/tfhealthz").status_code == 404
    assert client.get("/tf/healthz").status_code == 200


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
