"""Where things are: `Location`, `Link`, `GET /api/`, and a proxy that serves under a prefix."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from booking_app.web.paging import LINK_BYTES_MAX
from tests.conftest import PASSWORD, Caller, make_app
from tests.contract import document

# Nothing here depends on the database.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SOON = "2030-01-31T20:00:00Z"
ROWS = [{"label": "A", "seats": 5}]
MADE: list[tuple[str, dict[str, Any]]] = [
    ("/api/signup/", {"username": "new", "password": PASSWORD}),
    ("/api/movies/", {"title": "New", "duration_minutes": 90}),
    ("/api/movies/{movie_id}/shows/", {"screen_name": "S", "date_time": SOON, "total_seats": 5}),
    ("/api/cinemas/", {"name": "Roxy", "timezone": "UTC"}),
    ("/api/screens/", {"name": "Saal", "rows": ROWS}),
    ("/api/shows/{show_id}/book/", {"quantity": 1}),
    ("/api/shows/{show_id}/hold/", {"quantity": 1}),
]
KINO = {"X-Forwarded-Prefix": "/kino"}


def links(answer: Any) -> dict[str, dict[str, str]]:
    """The queries of the `Link` header, by relation."""
    found = re.findall(r'<([^>]*)>; rel="(\w+)"', answer.headers["Link"])
    rest = re.sub(r'<[^>]*>; rel="\w+"', "", answer.headers["Link"])
    assert set(rest) <= {",", " "}
    for target, _ in found:
        assert urlsplit(target).path == answer.request.path
    return {relation: dict(parse_qsl(urlsplit(target).query)) for target, relation in found}


# --- Location -------------------------------------------------------------------------------


@pytest.mark.parametrize(("template", "body"), MADE)
def test_what_is_made_says_where_it_is(
    staff: Caller, show_id: int, template: str, body: dict[str, Any]
) -> None:
    answer = staff.post(template.format(movie_id=1, show_id=show_id), body)
    assert answer.status_code == 201
    if template == "/api/signup/":
        assert answer.headers["Location"] == "/api/me/"
        return
    assert answer.headers["Location"].endswith(f"/{answer.json['id']}/")
    assert staff.get(answer.headers["Location"]).json == answer.json


def test_every_201_is_declared_with_its_place(app: Flask) -> None:
    declared = {
        template: operation["responses"]["201"]["headers"]
        for template, methods in document(app)["paths"].items()
        for method, operation in methods.items()
        if method == "post" and "201" in operation["responses"]
    }
    assert set(declared) == {template for template, _ in MADE}
    assert all("Location" in headers for headers in declared.values())


# --- Link -----------------------------------------------------------------------------------


@pytest.fixture
def five_films(make_movie: Callable[..., int]) -> None:
    for letter in "ABCDE":
        make_movie(letter)


def test_a_list_links_to_its_other_pages(client: FlaskClient, five_films: None) -> None:
    def pages(number: int) -> dict[str, str]:
        answer = client.get(f"/api/movies/?page_size=2&page={number}")
        return {relation: query["page"] for relation, query in links(answer).items()}

    assert pages(1) == {"next": "2", "first": "1", "last": "3"}
    assert pages(2) == {"next": "3", "prev": "1", "first": "1", "last": "3"}
    assert pages(3) == {"prev": "2", "first": "1", "last": "3"}
    assert pages(9) == {"prev": "3", "first": "1", "last": "3"}  # beyond the end


def test_following_next_reads_the_whole_list(client: FlaskClient, five_films: None) -> None:
    path, titles = "/api/movies?page_size=2", []
    while path:
        answer = client.get(path)
        titles += [film["title"] for film in answer.json]
        found = re.search('<([^>]*)>; rel="next"', answer.headers["Link"])
        path = found[1] if found else ""
    assert titles == list("ABCDE")


def test_a_link_keeps_the_rest_of_the_query(client: FlaskClient, make_movie: Any) -> None:
    for _ in range(2):
        make_movie('Ä & "B" <c>')
    query = {"search": 'ä & "b" <c>', "page_size": "1"}
    answer = client.get("/api/movies/", query_string=query)
    assert links(answer)["next"] == query | {"page": "2"}
    empty = client.get("/api/movies/?search=nothing")
    assert links(empty) == {
        relation: {"search": "nothing", "page": "1"} for relation in ("first", "last")
    }


def test_links_that_do_not_fit_are_left_out(client: FlaskClient, make_movie: Any) -> None:
    """nginx takes 4 KiB of headers, and answers 502 where there are more."""
    title = "\U0001f3ac" * 100
    for _ in range(3):
        make_movie(title)
    query = {"search": title, "page": "2", "page_size": "1"}
    answer = client.get("/api/movies/", query_string=query)
    assert len(answer.json) == 1
    assert list(links(answer)) == ["next"]
    assert len(answer.headers["Link"]) <= LINK_BYTES_MAX


def test_every_list_that_counts_links(app: Flask) -> None:
    counted = 0
    for methods in document(app)["paths"].values():
        headers = methods.get("get", {}).get("responses", {}).get("200", {}).get("headers", {})
        assert ("Link" in headers) == ("X-Pagination" in headers)
        counted += "Link" in headers
    assert counted > 8


# --- GET /api/ ------------------------------------------------------------------------------


def test_the_entry_leads_to_what_there_is(app: Flask, client: FlaskClient) -> None:
    answer = client.get("/api/")
    assert answer.json["version"] == app.config["API_VERSION"]
    assert client.get("/api").json == answer.json
    paths = document(app)["paths"]
    for path in answer.json["links"].values():
        if path.startswith("/api/"):
            assert path in paths
        else:
            # Pages are not of the contract.
            assert FlaskClient(app).get(path).status_code in (200, 303), path
    links = answer.json["links"].values()
    assert {"/api/movies/", "/api/shows/", "/openapi.json", "/swagger/"} <= set(links)


# --- behind a prefix ------------------------------------------------------------------------


@pytest.fixture
def behind(app: Flask, database_url: str) -> FlaskClient:
    """Calls behind one proxy."""
    return make_app(database_url, TRUSTED_PROXIES="1").test_client()


def test_the_prefix_is_in_every_place_that_is_answered(
    behind: FlaskClient, staff: Caller, show_id: int, five_films: None
) -> None:
    headers = staff.headers | KINO
    for template, body in MADE:
        path = template.format(movie_id=1, show_id=show_id)
        answer = behind.post(path, json=body, headers=headers)
        assert answer.headers["Location"].startswith("/kino/api/")
    page = behind.get("/api/movies/?page_size=1&page=2", headers=KINO)
    assert page.headers["Link"].count("</kino/api/movies/?") == 4
    entry = behind.get("/api/", headers=KINO).json["links"]
    assert all(path.startswith("/kino/") for path in entry.values())
    for headers_, url in ((KINO, "/kino"), ({}, "/")):
        (server,) = behind.get("/openapi.json", headers=headers_).json["servers"]
        assert server["url"] == url
    for path in ("/", "/swagger/", "/admin/login/"):
        text = FlaskClient(behind.application).get(path, headers=KINO).text
        places = re.findall(r'(?:href|src|action|data-document)="(/[^"]*)"', text)
        assert len(places) > 2
        assert all(place.startswith("/kino/") for place in places), path


def test_a_retry_is_told_the_place_behind_its_own_prefix(
    behind: FlaskClient, alice: Caller, show_id: int
) -> None:
    key = alice.headers | {"Idempotency-Key": "one"}
    path = f"/api/shows/{show_id}/book/"
    places = [
        behind.post(path, json={"quantity": 1}, headers=key | prefix).headers["Location"]
        for prefix in (KINO, {})
    ]
    assert places == ["/kino/api/bookings/1/", "/api/bookings/1/"]


def test_the_admin_site_keeps_to_its_prefix(behind: FlaskClient, staff: Caller) -> None:
    browser = FlaskClient(behind.application, use_cookies=False)
    onward = browser.get("/admin/shows/?page=1", headers=KINO)
    assert onward.status_code == 303
    target = "/kino/admin/login/?next=%2Fkino%2Fadmin%2Fshows%2F%3Fpage%3D1"
    assert onward.headers["Location"] == target
    page = browser.get("/admin/login/", headers=KINO)
    assert "Path=/kino/admin" in page.headers["Set-Cookie"]
    token = re.search('name="csrf_token"[^>]*value="([^"]*)"', page.text)
    assert token
    # By hand: the client would send it to the paths that it calls, which have no prefix.
    cookie = {"Cookie": page.headers["Set-Cookie"].split(";")[0]}
    form = {"username": "staff", "password": PASSWORD, "csrf_token": token[1]}
    for asked, led in (
        ("/kino/admin/shows/", "/kino/admin/shows/"),
        ("/admin/shows/", "/kino/admin/"),  # another application's
        ("//evil.example/kino/admin/", "/kino/admin/"),
    ):
        logged_in = browser.post(
            "/admin/login/", query_string={"next": asked}, data=form, headers=KINO | cookie
        )
        assert (logged_in.status_code, logged_in.headers["Location"]) == (303, led)


@pytest.mark.parametrize(
    ("proxies", "sent", "seen"),
    [
        ("0", "/kino", ""),  # said by anybody
        ("1", "/kino", "/kino"),
        ("1", "/kino/", "/kino"),
        ("1", "/a/b.c/d~e_f-1", "/a/b.c/d~e_f-1"),
        ("1", "/evil, /kino", "/kino"),  # only what the proxy itself added
        ("2", "/evil, /a, /b", "/a/b"),
        ("2", "/a", "/a"),
        ("1", "/", ""),
        ("1", "", ""),
        ("1", "kino", ""),
        ("1", "//evil.example", ""),
        ("1", "/a//b", ""),
        ("1", "https://evil.example/kino", ""),
        ("1", "/\\evil.example", ""),
        ("1", "/a b", ""),
        ("1", '/a"><script>', ""),
        ("1", "/a%2f", ""),
        ("1", "/\xe4", ""),
        ("1", "/" + "x" * 200, ""),
    ],
)
def test_a_prefix_is_believed_of_trusted_proxies_and_is_never_another_host(
    app: Flask, database_url: str, proxies: str, sent: str, seen: str
) -> None:
    client = make_app(database_url, TRUSTED_PROXIES=proxies).test_client()
    answer = client.get("/api/", headers={"X-Forwarded-Prefix": sent})
    assert answer.json["links"]["movies"] == f"{seen}/api/movies/"
    # A cache in front keeps the answers to other prefixes apart.
    assert ("X-Forwarded-Prefix" in answer.vary) == (proxies != "0")


def test_the_document_is_the_same_but_for_its_server(behind: FlaskClient) -> None:
    here, there = (behind.get("/openapi.json", headers=sent).json for sent in ({}, KINO))
    assert here.pop("servers") != there.pop("servers")
    assert json.dumps(here) == json.dumps(there)
