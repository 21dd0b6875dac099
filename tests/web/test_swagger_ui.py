"""Swagger UI and the start page as a person uses them: the real server, in a real browser.

Nothing else shows that the page works: a document can be valid and the page still blank, or its
examples refused.
"""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import Watched, needs_chromium, serious
from tests.serving import Server, serve_demo

pytestmark = needs_chromium

PHONE = pytest.param({"width": 390, "height": 844}, id="phone")
DESK = pytest.param({"width": 1280, "height": 900}, id="desk")
walk = pytest.mark.in_ci  # Swagger UI needs a second for each call
MANAGER = {"username": "manager", "password": "popcorn-and-nachos"}
SIGN_UP = ("POST", "/api/signup/")
LOG_IN = ("POST", "/api/login/")
LOG_OUT = ("POST", "/api/logout/")
BOOK = ("POST", "/api/shows/{show_id}/book/")

Operation = tuple[str, str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """gunicorn with the demo catalogue and a staff account."""
    server = serve_demo(
        tmp_path_factory.mktemp("swagger"),
        superuser=MANAGER["username"],
        password=MANAGER["password"],
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
        settled = self.page.locator('#swagger-ui[aria-busy="false"]')
        expect(settled).to_be_attached(timeout=30_000)

    def try_out(self, method: str, path: str, body: Any = None) -> int:
        """Try an operation with what is filled in, or with this body: the status."""
        operation = self.operation(method, path)
        self.open_or_close(method, path)
        if operation.get_by_role("button", name="Execute").count() == 0:
            operation.get_by_role("button", name="Try it out").click()
        if body is not None:
            operation.locator("textarea").fill(json.dumps(body))
        with self.page.expect_response(lambda answer: answer.request.method == method) as answer:
            operation.get_by_role("button", name="Execute").click()
        # A status that the document does not have is shown as "418 Undocumented".
        status = operation.locator(".live-responses-table .response .response-col_status")
        expect(status).to_have_text(str(answer.value.status), timeout=30_000)
        self.open_or_close(method, path)  # the page is slow with many open
        self.ready()
        return answer.value.status

    def open_or_close(self, method: str, path: str) -> None:
        self.operation(method, path).locator(".opblock-summary-control").click()

    def operation(self, method: str, path: str) -> Locator:
        return self.page.locator(f'.opblock-{method.lower()}:has([data-path="{path}"])')

    def is_authorized(self) -> bool:
        return self.page.locator(".auth-wrapper .authorize.locked").count() == 1


def sizes(*these: Any) -> Any:
    """Decorator: the test is done in windows of these sizes."""
    return pytest.mark.parametrize("swagger_ui", these, indirect=True)


@pytest.fixture
def swagger_ui(request: pytest.FixtureRequest, page: Page, address: str) -> SwaggerUI:
    """Swagger UI, open in a browser."""
    page.set_viewport_size(request.param)
    ui = SwaggerUI(page)
    ui.open(address)
    return ui


def operations(server: Server, *, of_staff: bool) -> list[Operation]:
    """The operations of the document that are for staff, or those for everybody, in the order in
    which a person can try them all: what is made is deleted at the end, in the reverse order, and
    then they log out."""
    found: list[Operation] = []
    deletions: list[Operation] = []
    for path, item in server.call("GET", "/openapi.json")[1]["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            if operation["description"].startswith("For staff") != of_staff:
                continue
            (deletions if method == "delete" else found).append((method.upper(), path))
    if of_staff:
        return [*found, *reversed(deletions), LOG_OUT]
    found.remove(LOG_OUT)
    # A confirmed hold can't be extended.
    extend = found.index(("POST", "/api/bookings/{booking_id}/extend/"))
    confirm = found.index(("POST", "/api/bookings/{booking_id}/confirm/"))
    found[confirm], found[extend] = found[extend], found[confirm]
    # With a second session there is one to delete that is not the page's own.
    return [*found, LOG_IN, *reversed(deletions), LOG_OUT]


def staff_account(server: Server) -> dict[str, str]:
    """The name and password of a new member of staff."""
    account = {"username": f"staff-{time.monotonic_ns()}", "password": "popcorn-and-nachos"}
    made = server.call("POST", "/api/signup/", account)[1]
    token = server.log_in(**MANAGER)
    server.call("PATCH", f"/api/accounts/{made['id']}/", {"is_staff": True}, token)
    return account


def width(page: Page) -> Any:
    """How wide the page is, also what is cut off."""
    return page.evaluate("document.documentElement.scrollWidth")


@walk
@sizes(DESK, PHONE)
def test_every_call_of_a_customer_works_as_it_stands(
    swagger_ui: SwaggerUI, server: Server, address: str
) -> None:
    """From signing up to logging out nothing is typed. No other host is asked for anything, and
    the browser has nothing to complain of."""
    calls = operations(server, of_staff=False)
    statuses = [(*call, swagger_ui.try_out(*call)) for call in calls]

    assert [one for one in statuses if one[2] // 100 != 2] == []
    assert not swagger_ui.is_authorized()
    assert swagger_ui.hosts == {address}
    assert swagger_ui.errors == []


@walk
@sizes(DESK, PHONE)
def test_every_call_of_staff_works_as_it_stands(
    swagger_ui: SwaggerUI, server: Server, address: str
) -> None:
    """Only their name and password are typed."""
    assert swagger_ui.try_out(*LOG_IN, body=staff_account(server)) == 200
    calls = operations(server, of_staff=True)
    statuses = [(*call, swagger_ui.try_out(*call)) for call in calls]

    assert [one for one in statuses if one[2] // 100 != 2] == []
    assert not swagger_ui.is_authorized()
    assert swagger_ui.hosts == {address}
    assert swagger_ui.errors == []


@walk
@sizes(DESK)
def test_a_log_in_outlives_a_reload_but_not_the_tab(swagger_ui: SwaggerUI) -> None:
    """Log-out, the dialog's too, forgets it; no password is kept, and nothing for other tabs."""
    ui, page = swagger_ui, swagger_ui.page
    assert ui.try_out(*SIGN_UP) == 201
    assert not ui.is_authorized()
    assert ui.try_out(*LOG_IN) == 200
    assert ui.is_authorized()
    ui.reload()
    assert ui.is_authorized()
    assert ui.try_out("GET", "/api/me/") == 200
    assert ui.try_out("POST", "/api/token/refresh/") == 200
    assert page.evaluate("localStorage.length") == 0
    assert "correct-horse-battery" not in page.evaluate("JSON.stringify(sessionStorage)")

    page.get_by_role("button", name="Authorize").click()
    page.locator(".modal-ux").get_by_role("button", name="Remove authorization").click()
    page.locator(".modal-ux").get_by_role("button", name="Close").first.click()
    assert "eyJ" not in page.evaluate("JSON.stringify(sessionStorage)")
    ui.reload()
    assert not ui.is_authorized()

    assert ui.try_out(*LOG_IN) == 200
    assert ui.try_out(*LOG_OUT) == 204
    assert not ui.is_authorized()
    assert "eyJ" not in page.evaluate("JSON.stringify(sessionStorage)")
    ui.reload()
    assert not ui.is_authorized()
    assert ui.errors == []


@sizes(DESK)
def test_an_access_token_that_is_over_leaves_the_refresh_token(
    swagger_ui: SwaggerUI, server: Server
) -> None:
    ui, page = swagger_ui, swagger_ui.page
    assert ui.try_out(*LOG_IN, body=staff_account(server)) == 200
    page.evaluate(
        "sessionStorage['swagger-ui'] = "
        "JSON.stringify({ ...JSON.parse(sessionStorage['swagger-ui']), access: 'over' })"
    )
    ui.reload()
    assert not ui.is_authorized()
    assert ui.try_out("POST", "/api/token/refresh/") == 200
    assert ui.is_authorized()


@sizes(PHONE)
def test_what_is_typed_stays_and_what_is_filled_in_follows(swagger_ui: SwaggerUI) -> None:
    """Each try books another free seat; a typed name is logged in with, and not replaced."""
    ui = swagger_ui
    account = {"username": f"typed-{time.monotonic_ns()}", "password": "popcorn-and-nachos"}
    assert ui.try_out(*SIGN_UP, body=account) == 201
    assert ui.try_out(*LOG_IN) == 200
    assert [ui.try_out(*BOOK), ui.try_out(*BOOK)] == [201, 201]
    ui.open_or_close(*SIGN_UP)
    assert json.loads(ui.operation(*SIGN_UP).locator("textarea").input_value()) == account
    assert ui.errors == []


@sizes(DESK, PHONE)
def test_nothing_is_cut_off(swagger_ui: SwaggerUI) -> None:
    """Not the page, not an open call, nor the dialog."""
    page = swagger_ui.page
    assert page.viewport_size is not None
    assert width(page) <= page.viewport_size["width"]
    swagger_ui.try_out(*SIGN_UP)
    swagger_ui.open_or_close(*SIGN_UP)
    swagger_ui.operation(*SIGN_UP).get_by_role("button", name="Reset").wait_for()
    assert width(page) <= page.viewport_size["width"]
    # Of Swagger UI itself only the wrapper is ours.
    assert serious(page, exclude=[["#swagger-ui > *"]]) == []


def test_the_start_page_leads_on_and_is_readable_on_a_phone(page: Page, address: str) -> None:
    """By keyboard alone, without a script, in both colour schemes."""
    ui = Watched(page)
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(f"http://{address}/")
    page.emulate_media(color_scheme="dark")
    assert serious(page) == []
    page.emulate_media(color_scheme="light")
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    links = [link.get_attribute("href") for link in page.get_by_role("link").all()]
    assert links == ["/swagger/", "/admin/", "/openapi.json", "/health/"]
    for link in links:
        page.goto(f"http://{address}/")
        for _ in range(links.index(link) + 1):
            page.keyboard.press("Tab")
        # Strangers to the admin site come to its log-in.
        with page.expect_navigation(url=re.compile(re.escape(link) + r"(login/.*)?$")) as answer:
            page.keyboard.press("Enter")
        assert answer.value.status == 200
    assert ui.hosts == {address}
    assert ui.errors == []
