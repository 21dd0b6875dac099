"""Swagger UI and the start page as a person uses them: the real server, in a real browser.

Nothing else shows that the page works: a document can be valid and the page still blank, or its
examples refused.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import Watched, needs_chromium, serious
from tests.serving import Server, serve_demo

pytestmark = needs_chromium

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
STAFF = {"username": "manager", "password": "popcorn-and-nachos"}
LOG_IN = ("POST", "/api/login/")
LOG_OUT = ("POST", "/api/logout/")
SESSIONS = ("GET", "/api/me/sessions/")

Operation = tuple[str, str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """gunicorn with the demo catalogue and a staff account."""
    server = serve_demo(
        tmp_path_factory.mktemp("swagger"),
        superuser=STAFF["username"],
        password=STAFF["password"],
        WEB_CONCURRENCY="1",
        RATELIMIT_ENABLED="off",
    )
    yield server
    server.stop()


@pytest.fixture(scope="module")
def address(server: Server) -> str:
    return f"127.0.0.1:{server.port}"


class SwaggerUI(Watched):
    """What a person does on the page."""

    def open(self, address: str) -> None:
        self.page.goto(f"http://{address}/swagger/")
        self.ready()

    def reload(self) -> None:
        self.page.reload()
        self.ready()

    def ready(self) -> None:
        """Wait until the page has filled in what depends on the caller."""
        expect(self.page.locator("#swagger-ui")).to_have_attribute("aria-busy", "false")

    def try_out(self, method: str, path: str, body: Any = None) -> int:
        """Try an operation with what is filled in, or with this body: the status."""
        operation = self.operation(method, path)
        control = operation.locator(".opblock-summary-control")
        control.click()
        if operation.get_by_role("button", name="Execute").count() == 0:
            operation.get_by_role("button", name="Try it out").click()
        if body is not None:
            operation.locator("textarea").fill(json.dumps(body))
        # Told from the answer of an earlier try by the page itself.
        with self.page.expect_response(lambda answer: answer.request.method == method):
            operation.get_by_role("button", name="Execute").click()
        status = operation.locator(".live-responses-table .response .response-col_status")
        # A status that the document does not have is shown as "418 Undocumented": no number.
        found = int(status.inner_text())
        control.click()  # the page is slow with many open
        self.ready()
        return found

    def answer(self, method: str, path: str) -> Any:
        """The body that the page shows as the answer of the operation."""
        shown = self.operation(method, path).locator(".live-responses-table .highlight-code code")
        return json.loads(shown.inner_text())

    def operation(self, method: str, path: str) -> Locator:
        return self.page.locator(f'.opblock-{method.lower()}:has([data-path="{path}"])')

    def is_authorized(self) -> bool:
        return self.page.locator(".auth-wrapper .authorize.locked").count() == 1


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def swagger_ui(request: pytest.FixtureRequest, page: Page, address: str) -> SwaggerUI:
    """Swagger UI, open in a browser, on a desk and on a phone."""
    page.set_viewport_size(request.param)
    page.set_default_timeout(10_000)
    ui = SwaggerUI(page)
    ui.open(address)
    return ui


def operations(server: Server, *, of_staff: bool) -> list[Operation]:
    """The operations of the document in the order in which a person can try them all: what is
    made is deleted at the end, in the reverse order, and then they log out."""
    found: list[Operation] = []
    deletions: list[Operation] = []
    for path, item in server.call("GET", "/openapi.json")[1]["paths"].items():
        for method, operation in item.items():
            if method == "parameters" or (
                not of_staff and operation["description"].startswith("For staff")
            ):
                continue
            (deletions if method == "delete" else found).append((method.upper(), path))
    found.remove(LOG_OUT)
    # A confirmed hold can't be extended.
    extend = found.index(("POST", "/api/bookings/{booking_id}/extend/"))
    confirm = found.index(("POST", "/api/bookings/{booking_id}/confirm/"))
    found[confirm], found[extend] = found[extend], found[confirm]
    return [*found, *reversed(deletions), LOG_OUT]


def test_every_call_of_a_customer_works_as_it_stands(
    swagger_ui: SwaggerUI, server: Server, address: str
) -> None:
    """From signing up to logging out nothing is typed. No other host is asked for anything, and
    the browser has nothing to complain of."""
    # The session that is deleted is then another one than that of the page.
    calls = operations(server, of_staff=False)
    calls[-2:-2] = [LOG_IN]
    statuses = [(*call, swagger_ui.try_out(*call)) for call in calls]

    assert [one for one in statuses if one[2] // 100 != 2] == []
    assert not swagger_ui.is_authorized()
    assert swagger_ui.hosts == {address}
    assert swagger_ui.errors == []
    # Of Swagger UI itself only the wrapper is ours.
    assert serious(swagger_ui.page, exclude=[["#swagger-ui > *"]]) == []
    width = swagger_ui.page.evaluate("document.documentElement.scrollWidth")
    assert width <= swagger_ui.page.viewport_size["width"]


def test_every_call_of_staff_works_as_it_stands(
    swagger_ui: SwaggerUI, server: Server, address: str
) -> None:
    """Only their name and password are typed in."""
    server.log_in("somebody", "correct-horse-battery")
    assert swagger_ui.try_out(*LOG_IN, body=STAFF) == 200
    calls = operations(server, of_staff=True)
    for call in (("POST", "/api/signup/"), LOG_IN):
        calls.remove(call)
    statuses = [(*call, swagger_ui.try_out(*call)) for call in calls]

    assert [one for one in statuses if one[2] // 100 != 2] == []
    assert not swagger_ui.is_authorized()
    assert swagger_ui.hosts == {address}
    assert swagger_ui.errors == []
