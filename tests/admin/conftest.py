"""Fixtures of the admin site's tests."""

import pytest
from flask import Flask

from booking_app.catalog import venues
from tests.admin.pages import PLAN, VIENNA
from tests.admin_site import Site
from tests.conftest import Caller


@pytest.fixture
def site(app: Flask, staff: Caller) -> Site:
    """Logged in as staff."""
    site = Site(app)
    assert site.log_in().status_code == 303
    return site


@pytest.fixture
def screen(app: Flask) -> int:
    """A screen of four seats in Vienna."""
    cinema = venues.create_cinema(name="Gartenbau", timezone=VIENNA)["id"]
    return int(venues.create_screen(name="Saal", rows=PLAN, cinema=cinema).id)
