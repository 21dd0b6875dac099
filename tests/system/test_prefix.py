"""Under a path of an nginx, set up as docs/operating.md shows: `/kino/`."""

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser import needs_chromium
from tests.conftest import PASSWORD
from tests.nginx import Nginx, needs_nginx
from tests.serving import serve_demo
from tests.web.test_swagger_ui import SwaggerUI

pytestmark = needs_nginx


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefix")


@pytest.fixture(scope="module")
def nginxes(folder: Path) -> Iterator[dict[str, Nginx]]:
    """In front of one gunicorn: one that serves it under /kino/, one that serves it as it is."""
    settings = {"TRUSTED_PROXIES": "1", "WEB_CONCURRENCY": "1"}
    with ExitStack() as running:
        server = serve_demo(folder, superuser="boss", password=PASSWORD, **settings)
        running.callback(server.stop)
        found = {}
        for name in ("prefixed", "plain"):
            own = folder / name
            own.mkdir()
            found[name] = Nginx(own, server.port, prefixed=name == "prefixed")
            running.callback(found[name].stop)
        yield found


def call(
    nginx: Nginx, path: str, body: Any = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        named |= {"Content-Type": "application/json"}
    sent = None if body is None else json.dumps(body)
    connection.request("GET" if body is None else "POST", path, sent, named)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    is_json = "json" in answer.headers.get("Content-Type", "")
    return answer.status, answer.headers, json.loads(text) if is_json else text.decode()


def test_a_program_finds_its_way_by_what_is_answered(nginxes: dict[str, Nginx]) -> None:
    nginx = nginxes["prefixed"]
    account = {"username": "carla", "password": PASSWORD}
    _, _, entry = call(nginx, "/kino/api/")
    links = entry["links"]
    status, headers, _ = call(nginx, links["signup"], account)
    assert (status, headers["Location"]) == (201, "/kino/api/me/")
    _, _, tokens = call(nginx, links["login"], account)
    token = {"Authorization": f"Bearer {tokens['access']}"}
    assert call(nginx, headers["Location"], **token)[2]["username"] == "carla"
    _, headers, shows = call(nginx, f"{links['shows']}?page_size=1&page=2")
    after = re.search('<([^>]*)>; rel="next"', headers["Link"])
    assert after
    assert call(nginx, after[1])[2] != shows
    status, headers, booking = call(
        nginx, f"{links['shows']}{shows[0]['id']}/book/", {"quantity": 1}, **token
    )
    assert status == 201
    assert call(nginx, headers["Location"], **token)[2]["id"] == booking["id"]
    (server,) = call(nginx, links["openapi"])[2]["servers"]
    assert server["url"] == "/kino"


def test_a_prefix_that_a_client_writes_is_taken_away(nginxes: dict[str, Nginx]) -> None:
    sent = {"X_Forwarded_Prefix": "/evil"}
    assert call(nginxes["plain"], "/api/", **sent)[2]["links"]["me"] == "/api/me/"
    assert call(nginxes["prefixed"], "/kino/api/", **sent)[2]["links"]["me"] == "/kino/api/me/"


def test_a_long_query_is_no_502(nginxes: dict[str, Nginx]) -> None:
    """Its links must fit into what nginx takes of headers."""
    search = "%F0%9F%8E%AC" * 100
    path = f"/kino/api/movies/?search={search}&page_size=1&page=2"
    assert call(nginxes["prefixed"], path)[0] == 200


def test_the_address_without_its_slash_leads_there(nginxes: dict[str, Nginx]) -> None:
    status, headers, _ = call(nginxes["prefixed"], "/kino")
    assert (status, headers["Location"].rpartition("/kino")[2]) == (308, "/")


@needs_chromium
def test_the_pages_work_there(page: Page, nginxes: dict[str, Nginx]) -> None:
    port = nginxes["prefixed"].port
    swagger_ui = SwaggerUI(page)
    page.goto(f"http://127.0.0.1:{port}/kino/")
    page.get_by_role("link", name="Swagger UI").click()
    assert swagger_ui.try_out("GET", "/api/movies/") == 200

    page.goto(f"http://127.0.0.1:{port}/kino/admin/shows/")
    assert page.url.startswith(f"http://127.0.0.1:{port}/kino/admin/login/?next=")
    page.get_by_label("User name").fill("boss")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    assert page.url == f"http://127.0.0.1:{port}/kino/admin/shows/"
    page.get_by_role("link", name="Films").click()
    page.get_by_role("link", name="Edit: Casablanca").click()
    page.get_by_label("Age rating").fill("G")
    page.get_by_role("button", name="Save").click()
    assert "/kino/admin/films/" in page.url or "/kino/admin/movies/" in page.url
    (cookie,) = page.context.cookies(f"http://127.0.0.1:{port}/kino/admin/")
    assert cookie["path"] == "/kino/admin"
    page.get_by_role("button", name="Log out").click()
    assert page.url == f"http://127.0.0.1:{port}/kino/admin/login/"
    assert swagger_ui.errors == []
