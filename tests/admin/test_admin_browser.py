"""The admin site as staff use it: the real server, in a real browser, by the keyboard alone."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import Watched, needs_chromium, serious
from tests.conftest import PASSWORD
from tests.serving import Server, serve_demo

pytestmark = needs_chromium

TABS_MAX = 600


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """gunicorn with the demo catalogue, a member of the staff and a customer."""
    folder = tmp_path_factory.mktemp("admin")
    server = serve_demo(folder, superuser="boss", password=PASSWORD, WEB_CONCURRENCY="1")
    server.log_in("carla", PASSWORD)
    yield server
    server.stop()


class Staff(Watched):
    """Somebody at a keyboard. `checked` are the pages that were held against the rules of
    accessibility."""

    checked: int = 0

    def open(self, server: Server, path: str = "") -> None:
        self.page.goto(f"http://127.0.0.1:{server.port}/admin/{path}")
        self.check()

    def check(self) -> None:
        assert serious(self.page) == [], self.page.url
        self.checked += 1

    def reach(self, target: Locator) -> None:
        """Press Tab until the target has the focus."""
        for _ in range(TABS_MAX):
            if target.evaluate("element => element === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        pytest.fail(f"no way by keyboard to {target}")

    def type(self, label: str, text: str) -> None:
        field = self.page.get_by_label(label, exact=True)
        self.reach(field)
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.type(text)

    def choose(self, label: str, text: str) -> None:
        """From a list, by its first letters."""
        field = self.page.get_by_label(label, exact=True)
        self.reach(field)
        self.page.keyboard.type(text)
        expect(field.locator("option:checked")).to_contain_text(text)

    def at(self, label: str, when: datetime) -> None:
        """Into the browser's own field for a day and time: month, day, year, hour, minute."""
        self.reach(self.page.get_by_label(label, exact=True))
        self.page.keyboard.type(f"{when:%m%d%Y}")
        self.page.keyboard.press("ArrowRight")
        self.page.keyboard.type(f"{when:%I%M%p}")

    def press(self, role: Any, name: str) -> None:
        """A button or link that leads to a page."""
        self.reach(self.page.get_by_role(role, name=name, exact=True).first)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def said(self) -> str:
        return self.page.locator(".message").first.inner_text()


def test_staff_work_by_keyboard_alone(page: Page, server: Server, tmp_path: Path) -> None:
    staff = Staff(page)
    page.on("dialog", lambda dialog: dialog.accept())
    staff.open(server)

    # Log in
    staff.type("User name", "carla")
    staff.type("Password", PASSWORD)
    staff.press("button", "Log in")
    assert staff.said() == "Only staff may log in here."
    staff.check()
    staff.type("User name", "boss")
    staff.type("Password", PASSWORD)
    staff.press("button", "Log in")
    expect(page.get_by_role("heading", level=1)).to_have_text("Coming shows")
    staff.check()

    # Make a screen, and see its plan while it is typed
    staff.press("link", "Screens")
    staff.check()
    staff.press("link", "New screen")
    staff.check()
    staff.type("Name", "Blue room")
    staff.choose("Cinema", "Donaulicht")
    staff.reach(page.get_by_role("button", name="Plain room"))
    page.keyboard.press("Enter")
    expect(page.locator("#plan svg g title")).to_have_count(58)
    staff.check()
    page.keyboard.press("ControlOrMeta+a")  # the focus is in the text now
    page.keyboard.type("A 4\nB 1..3 | 4..6 category=vip")
    expect(page.locator("#plan svg g title")).to_have_count(10)
    page.keyboard.type("\nC")
    expect(page.locator("#plan")).to_contain_text("Line 3: After the label")
    page.keyboard.type(" 2")
    expect(page.locator("#plan svg g title")).to_have_count(12)
    staff.check()
    staff.press("button", "Save")
    assert staff.said() == "Record was successfully created."

    # Make a show on it, and be refused a second one at that time
    when = (datetime.now(UTC) + timedelta(days=3)).replace(hour=20, minute=15)
    for message in ("Record was successfully created.", "is on Blue room from"):
        staff.open(server, "shows/new/")
        staff.choose("Film", "Casablanca")
        staff.choose("Screen", "Donaulicht Kino: Blue room")
        staff.at("Time", when)
        staff.type("Price", "8.50")
        staff.press("button", "Save")
        assert message in staff.said()
        staff.check()

    # Many at once: what is in the way is listed first
    staff.open(server, "shows/many/")
    staff.choose("Film", "Alien")
    staff.choose("Screen", "Donaulicht Kino: Blue room")
    for label in ("First day", "Last day"):
        staff.reach(page.get_by_label(label))
        page.keyboard.type(f"{when + timedelta(days=label == 'Last day'):%m%d%Y}")
    staff.type("Times", "20:00")
    staff.type("Price", "8.50")
    staff.press("button", "See what is in the way")
    expect(page.locator("tr.refused")).to_have_count(1)
    staff.check()
    staff.press("button", "Make the other 1")
    assert staff.said() == "1 shows made."

    # Book for a customer from the map
    staff.type("Search", "blue room")
    staff.press("button", "Show")
    expect(page.locator("tbody tr")).to_have_count(2)
    staff.check()
    staff.press("link", "Casablanca")
    for seat in ("B1", "B2"):
        box = page.get_by_role("checkbox", name=f"{seat}, vip, €8.50, available", exact=True)
        staff.reach(box)
        page.keyboard.press("Space")
    staff.type("Customer", "carla")
    staff.check()
    staff.press("button", "Book for the customer")
    assert staff.said().startswith("Booked: ")
    reference = staff.said().split()[-1].rstrip(".")
    expect(page.locator("dl")).to_contain_text("carla")
    staff.check()

    # Cancel one of the seats
    staff.reach(page.get_by_role("checkbox", name="Cancel B2"))
    page.keyboard.press("Space")
    staff.press("button", "Cancel the chosen seats")
    assert staff.said() == "Cancelled."

    # Block a seat on the map, and free it again
    staff.press("link", "Casablanca")
    for button, state in (
        ("Block the chosen seats", "available"),
        ("Free the chosen seats", "blocked, kept by the house, Guests"),
    ):
        box = page.get_by_role("checkbox", name=f"B3, vip, €8.50, {state}", exact=True)
        staff.reach(box)
        page.keyboard.press("Space")
        staff.type("Reason", "Guests")
        staff.press("button", button)
        staff.check()
    assert staff.said() == "Seats for sale again: 1."

    # Find it, and export the list
    staff.press("link", "Bookings")
    staff.check()
    staff.choose("Status", "booked")
    staff.press("button", "Show")
    expect(page.locator("tbody th")).to_have_text([reference])
    with page.expect_download() as download:
        staff.reach(page.get_by_role("link", name="Export as CSV"))
        page.keyboard.press("Enter")
    download.value.save_as(tmp_path / "bookings.csv")
    exported = list(csv.DictReader(io.StringIO((tmp_path / "bookings.csv").read_text("utf-8-sig"))))
    assert [(row["Reference"], row["Seats"]) for row in exported] == [(reference, "B1")]

    # A report, with its plots
    staff.open(server, "sales/")
    staff.reach(page.get_by_label("To", exact=True))
    page.keyboard.type(f"{when:%m%d%Y}")
    staff.choose("By", "screen")
    staff.press("button", "Show")
    expect(page.locator("figure svg")).to_have_count(2)
    expect(
        page.locator("figure svg").first.locator("title", has_text="Blue room: €8.50")
    ).to_have_count(1)
    staff.check()

    # What is sold can't be deleted, in the words of the API
    staff.press("link", "Shows")
    staff.type("Search", "blue room")
    staff.press("button", "Show")
    staff.reach(page.get_by_role("button", name="Delete: Casablanca"))
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert staff.said().startswith("This show has bookings and can't be deleted.")

    # The rest of the pages
    for path in ("films/", "films/new/", "cinemas/", "cinemas/new/", "accounts/", "audit/"):
        staff.open(server, path)
    staff.open(server, "accounts/edit/?id=2")

    staff.press("button", "Log out")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    page.goto(f"http://127.0.0.1:{server.port}/admin/films/")
    assert "/login/" in page.url
    assert staff.checked >= 20
    assert staff.hosts == {f"127.0.0.1:{server.port}"}
    # The browser notes each answer that is a refusal, and nothing else was wrong.
    refusals = ("403 (FORBIDDEN)", "409 (CONFLICT)")
    assert [error for error in staff.errors if not any(r in error for r in refusals)] == []
    assert len(staff.errors) == 2


def test_the_pages_can_be_read_on_a_phone(page: Page, server: Server) -> None:
    """What is wider than the screen scrolls by itself, not the page."""
    staff = Staff(page)
    page.set_viewport_size({"width": 320, "height": 640})
    staff.open(server)
    page.get_by_label("User name").fill("boss")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    for path in (
        *("", "shows/", "shows/new/", "shows/copy/", "shows/close/", "shows/change/?id=1"),
        *("screens/new/", "shows/1/seats/", "sales/", "audit/", "catalog-file/"),
    ):
        staff.open(server, path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path


def test_all_rows_are_ticked_at_once(page: Page, server: Server) -> None:
    staff = Staff(page)
    staff.open(server)
    page.get_by_label("User name").fill("boss")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    staff.open(server, "shows/")
    page.get_by_label("Tick all").check()
    page.get_by_role("button", name="Change the ticked shows").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Change 50 shows")
    page.get_by_label("Note for customers").fill("In the small hall")
    page.get_by_role("button", name="See what happens").click()
    staff.check()
    page.get_by_role("button", name="Change them: 50").click()
    assert staff.said() == "Shows changed: 50."
    assert "/admin/shows/" in page.url


def test_a_catalogue_file_is_loaded_as_it_was_shown(page: Page, server: Server) -> None:
    staff = Staff(page)
    page.goto(f"http://127.0.0.1:{server.port}/admin/catalog-file/")
    page.get_by_label("User name").fill("boss")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    staff.check()
    film = {"title": "From a file", "duration_minutes": 90}
    content = json.dumps({"movies": [film]}).encode()
    page.get_by_label("File", exact=True).set_input_files(
        {"name": "catalog.json", "mimeType": "application/json", "buffer": content}
    )
    page.get_by_role("button", name="See what it would do").click()
    expect(page.get_by_text("To add: 1 film.")).to_be_visible()
    staff.check()
    page.get_by_role("button", name="Do this").click()
    expect(page.get_by_role("status")).to_have_text("Added: 1 film.")
    assert staff.errors == []
