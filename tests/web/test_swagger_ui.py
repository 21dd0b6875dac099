"""Swagger UI and the start page as a person uses them: the real server, in a real browser.

Nothing else shows that the page works: a document can be valid and the page still blank, or its
examples refused.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page

from tests.browser import Watched, needs_chromium, serious
from tests.serving import serve_demo

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of gunicorn with the demo catalogue."""
    server = serve_demo(tmp_path_factory.mktemp("swagger"), WEB_CONCURRENCY="1")
    yield f"127.0.0.1:{server.port}"
    server.stop()


class SwaggerUI(Watched):
    """What a person does on the page."""

    def try_out(self, method: str, path: str, **parameters: Any) -> tuple[int, Any]:
        """Try an operation with its examples as they stand, but for the `parameters` that are
        given: the status and the body that the page then shows."""
        operation = self._operation(method, path)
        operation.locator(".opblock-summary-control").click()
        operation.get_by_role("button", name="Try it out").click()
        for name, value in parameters.items():
            operation.locator(f'[data-param-name="{name}"] input').fill(str(value))
        operation.get_by_role("button", name="Execute").click()
        answer = operation.locator(".live-responses-table .response")
        # A status that the document does not have is shown as "418 Undocumented": no number.
        status = int(answer.locator(".response-col_status").inner_text())
        return status, json.loads(answer.locator(".highlight-code code").inner_text())

    def _operation(self, method: str, path: str) -> Locator:
        return self.page.locator(f'.opblock-{method.lower()}:has([data-path="{path}"])')

    def authorize(self, token: str) -> None:
        """Authorize, paste, Authorize, Close."""
        self.page.get_by_role("button", name="Authorize").click()
        dialog = self.page.locator(".modal-ux")
        dialog.get_by_role("textbox").fill(token)
        dialog.get_by_role("button", name="Apply credentials").click()
        dialog.get_by_role("button", name="Close").click()


@pytest.fixture
def swagger_ui(page: Page, address: str) -> SwaggerUI:
    """Swagger UI, open in a browser."""
    ui = SwaggerUI(page)
    page.goto(f"http://{address}/swagger/")
    return ui


def test_a_person_signs_up_books_and_cancels(swagger_ui: SwaggerUI, address: str) -> None:
    """Only the token and the booking's id are typed in; every example works unedited, no other
    host is asked for anything, and the browser has nothing to complain of."""
    status, account = swagger_ui.try_out("POST", "/api/signup/")
    assert status == 201

    status, tokens = swagger_ui.try_out("POST", "/api/login/")
    assert status == 200
    swagger_ui.authorize(tokens["access"])

    status, films = swagger_ui.try_out("GET", "/api/movies/")
    assert status == 200
    assert films

    status, booking = swagger_ui.try_out("POST", "/api/shows/{show_id}/book/")
    assert status == 201
    assert (booking["user"], booking["status"]) == (account["id"], "booked")

    status, bookings = swagger_ui.try_out("GET", "/api/my-bookings/")
    assert status == 200
    assert bookings == [booking]

    status, cancelled = swagger_ui.try_out(
        "POST", "/api/bookings/{booking_id}/cancel/", booking_id=booking["id"]
    )
    assert status == 200
    assert (cancelled["id"], cancelled["status"]) == (booking["id"], "cancelled")

    status, seats = swagger_ui.try_out("GET", "/api/shows/{show_id}/seats/")
    assert status == 200
    assert seats["available_seats"] == seats["total_seats"]

    status, held = swagger_ui.try_out("POST", "/api/shows/{show_id}/hold/")
    assert (status, held["status"], len(held["seat_numbers"])) == (201, "held", 2)
    status, confirmed = swagger_ui.try_out(
        "POST", "/api/bookings/{booking_id}/confirm/", booking_id=held["id"]
    )
    assert (status, confirmed["status"]) == (200, "booked")

    assert swagger_ui.hosts == {address}
    assert swagger_ui.errors == []
    # Of Swagger UI itself only the wrapper is ours.
    assert serious(swagger_ui.page, exclude=[["#swagger-ui > *"]]) == []


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
