"""Swagger UI and the start page as a person uses them: the real server, in a real browser.

Nothing else shows that the page works: a document can be valid and the page still blank, or its
examples refused.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Locator, Page, sync_playwright

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"
CHROMIUM = next(
    filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None
)
# Nothing that the browser itself would ask other hosts for, and no sandbox: root has none.
CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of gunicorn with the demo catalogue, set up by the commands of `make run`."""
    tmp_path = tmp_path_factory.mktemp("swagger")
    port = _free_port()
    environ = os.environ | {
        "DATABASE_URL": f"sqlite:///{tmp_path / 'booking.db'}",
        "SECRET_KEY": "k" * 40,
        "HOST": HOST,
        "PORT": str(port),
        "WEB_CONCURRENCY": "1",
        "DEMO": "on",
        "FLASK_APP": "wsgi.py",
    }
    for command in (["db", "upgrade"], ["load-demo"]):
        subprocess.run([sys.executable, "-m", "flask", *command], cwd=ROOT, env=environ, check=True)
    log = tmp_path / "gunicorn.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "wsgi:app"],
            cwd=ROOT,
            env=environ,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(server, port, log)
        yield f"{HOST}:{port}"
    finally:
        _stop(server)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until the server takes connections: at most 100 tries, each a tenth of a second long."""
    for _ in range(100):
        with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=0.1)
            break
    pytest.fail(f"gunicorn did not start:\n{log.read_text()}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(timeout=15)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
        raise


@dataclass
class SwaggerUI:
    """What a person does on the page, and what the browser noticed meanwhile."""

    page: Page
    hosts: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        self.page.on("console", self._note_console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location['url']})")

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
def page() -> Iterator[Page]:
    """A page of a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield browser.new_page()
        browser.close()


@pytest.fixture
def swagger_ui(page: Page, address: str) -> SwaggerUI:
    """Swagger UI, open in a browser."""
    ui = SwaggerUI(page)
    page.goto(f"http://{address}/swagger/")
    return ui


def serious(page: Page, **context: Any) -> list[str]:
    """What axe-core finds serious on the page."""
    found = Axe().run(page, context=context or None).response["violations"]
    return [rule["id"] for rule in found if rule["impact"] in ("serious", "critical")]


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
    ui = SwaggerUI(page)
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(f"http://{address}/")
    page.emulate_media(color_scheme="dark")
    assert serious(page) == []
    page.emulate_media(color_scheme="light")
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    links = [link.get_attribute("href") for link in page.get_by_role("link").all()]
    assert links == ["/swagger/", "/openapi.json", "/health/"]
    for link in links:
        page.goto(f"http://{address}/")
        for _ in range(links.index(link) + 1):
            page.keyboard.press("Tab")
        with page.expect_navigation(url=f"**{link}") as answer:
            page.keyboard.press("Enter")
        assert answer.value.status == 200
    assert ui.hosts == {address}
    assert ui.errors == []
