"""Who may use the admin site, and how it is kept from strangers."""

import io
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from werkzeug.datastructures import FileStorage
from werkzeug.routing import Rule

from booking_app.admin.access import LASTS, LOG_IN, safe_next, signing_key
from booking_app.audit.models import AuditEvent
from booking_app.audit.service import OPERATOR
from booking_app.auth import accounts
from booking_app.auth.models import Session
from booking_app.catalog.models import Movie
from tests.admin_site import Site, messages
from tests.conftest import PASSWORD, Caller, make_app, rows
from tests.web.test_rate_limits import Clock


@pytest.fixture
def site(app: Flask, staff: Caller) -> Site:
    """Logged in as staff."""
    site = Site(app)
    assert site.log_in().status_code == 303
    return site


def rules(app: Flask) -> list[Rule]:
    """Every path of the admin site but the log-in."""
    found = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/admin")]
    assert len(found) > 40
    return [rule for rule in found if rule.rule != LOG_IN]


def path_of(rule: Rule) -> str:
    return re.sub("<[^>]*>", "1", rule.rule)


def test_nothing_but_the_log_in_is_open_to_strangers(app: Flask) -> None:
    site = Site(app)
    site.get("login/")
    for rule in [*rules(app)]:
        for method in rule.methods or ():
            answer = site._open(path_of(rule), method=method, data={"csrf_token": site.token})
            assert answer.status_code == 303, f"{method} {rule.rule}"
            assert answer.headers["Location"].startswith(LOG_IN)
    assert site.get("/admin").status_code == 303
    assert site.get("nothing/at/all").status_code == 303


def test_a_customer_is_refused_and_it_is_written_down(app: Flask, alice: Caller) -> None:
    site = Site(app)
    answer = site.log_in("alice")
    assert answer.status_code == 403
    assert messages(answer) == ["Only staff may log in here."]
    assert site.get().status_code == 303
    assert [row.action for row in rows(AuditEvent)][-1] == "account.log_in_refused"
    assert len(rows(Session)) == 1  # the fixture's own


@pytest.mark.parametrize("username", ["staff", "nobody"])
def test_a_wrong_password_and_an_unknown_name_are_answered_alike(
    app: Flask, staff: Caller, username: str
) -> None:
    answer = Site(app).log_in(username, "wrong-password")
    assert answer.status_code == 401
    assert messages(answer) == ["The user name or the password is wrong."]
    assert "wrong-password" not in answer.text


def test_what_is_not_filled_in_is_said_at_its_field(app: Flask) -> None:
    answer = Site(app).log_in("", "")
    assert answer.status_code == 422
    assert messages(answer) == ["Missing data for required field."] * 2


def test_the_cookie_is_for_these_paths_alone_and_out_of_reach_of_scripts(
    app: Flask, staff: Caller
) -> None:
    (plain,) = Site(app).log_in().headers.getlist("Set-Cookie")
    assert {"HttpOnly", "Path=/admin", "SameSite=Lax"} <= set(plain.split("; "))
    assert "Secure" not in plain
    (secure,) = Site(app, base_url="https://localhost").log_in().headers.getlist("Set-Cookie")
    assert "Secure" in secure.split("; ")
    assert "Expires" not in plain  # it goes with the browser


def test_the_api_does_not_look_at_the_cookie(site: Site) -> None:
    assert site.get("/api/me/").status_code == 401
    assert not site.get("/api/movies/").headers.getlist("Set-Cookie")
    assert not site.get("/").headers.getlist("Set-Cookie")


def test_the_cookie_is_no_use_with_another_key(app: Flask, site: Site, database_url: str) -> None:
    cookie = site.client.get_cookie("admin_session", path="/admin")
    assert cookie is not None
    for settings, status in (
        ({"SECRET_KEY": "n" * 40}, 303),
        ({"SECRET_KEY": "n" * 40, "SECRET_KEY_PREVIOUS": "k" * 40}, 200),
    ):
        other = Site(make_app(database_url, **settings))
        other.client.set_cookie("admin_session", cookie.value, path="/admin")
        # A form from before the change is as good as its session.
        other.token = site.token
        form = {"title": "F", "duration_minutes": "9"}
        sent = other.post("films/new/", form).status_code
        assert sent == (302 if status == 200 else 400)
        assert other.get().status_code == status
    # And what signs it signs no token.
    assert signing_key("k" * 40) != "k" * 40


def test_logging_out_ends_the_session_on_every_worker(app: Flask, site: Site) -> None:
    cookie = site.client.get_cookie("admin_session", path="/admin")
    assert cookie is not None
    assert site.post("logout/").headers["Location"] == LOG_IN
    assert site.get().status_code == 303
    kept = Site(app)
    kept.client.set_cookie("admin_session", cookie.value, path="/admin")
    assert kept.get().status_code == 303


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"is_disabled": True}, 303, "Your session has ended"),
        ({"is_staff": False}, 403, "Only staff may do this."),
    ],
)
def test_a_session_ends_with_the_right_to_it(
    app: Flask, site: Site, staff: Caller, change: dict[str, bool], status: int, text: str
) -> None:
    accounts.update_account(user_id=staff.id, **change, by=OPERATOR)
    answer = site.get()
    assert answer.status_code == status
    assert text in (answer.text if status == 403 else site.get("login/").text)
    assert site.post("films/new/", {"title": "F", "duration_minutes": "90"}).status_code == status


def test_a_session_can_be_ended_over_the_api_and_lasts_half_a_day(
    site: Site, staff: Caller
) -> None:
    newest = staff.get("/api/me/sessions/").json[0]
    assert newest["address"] == "127.0.0.1"
    assert timedelta(hours=12) == LASTS
    at = Session.created_at
    (created, expires) = rows(Session, at, Session.expires_at)[-1]
    assert abs(expires - created - LASTS) < timedelta(seconds=5)
    assert staff.delete(f"/api/me/sessions/{newest['id']}/").status_code == 204
    assert site.get().status_code == 303


def test_every_form_needs_its_token(app: Flask, site: Site, make_movie: Callable[..., int]) -> None:
    make_movie()
    other = Site(app)
    other.log_in()
    before = len(rows(AuditEvent))
    for rule in [*rules(app), LOG_IN]:
        if isinstance(rule, Rule) and "POST" not in (rule.methods or ()):
            continue
        path = rule if isinstance(rule, str) else path_of(rule)
        for token in ("", "nonsense", other.token):
            site.token = token
            answer = site.post(path, {"id": "1", "username": "staff", "password": PASSWORD})
            assert answer.status_code == 400, (path, token)
            assert "This form is out of date:" in answer.text
    assert len(rows(AuditEvent)) == before


@pytest.mark.parametrize(
    ("sent", "goes_to"),
    [
        ("/admin/films/?page=2", "/admin/films/?page=2"),
        ("", "/admin/"),
        ("https://evil.example/", "/admin/"),
        ("//evil.example/", "/admin/"),
        ("/\\evil.example/", "/admin/"),
        ("/admin/\\evil.example", "/admin/"),
        ("/admin/\r\nSet-Cookie: a=b", "/admin/"),
        ("/api/movies/", "/admin/"),
        ("/admin/" + "x" * 3000, "/admin/"),
    ],
)
def test_the_log_in_goes_on_to_pages_of_the_site_only(app: Flask, sent: str, goes_to: str) -> None:
    with app.test_request_context():
        assert safe_next(sent) == goes_to


def test_the_log_in_goes_on_to_the_page_that_was_asked_for(app: Flask, staff: Caller) -> None:
    site = Site(app)
    to_log_in = site.get("films/", search="a&b").headers["Location"]
    site.get(to_log_in)
    answer = site.post(to_log_in, {"username": "staff", "password": PASSWORD})
    assert answer.headers["Location"] == "/admin/films/?search=a%26b"


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example/",
        "https://evil.example/",
        "javascript:a",
        "http:evil.example",
        "http://localhost\\@evil.example",
        "//[",
        "//℀",
        "/x\r\ny",
        "/",
    ],
)
def test_no_page_leads_elsewhere(site: Site, app: Flask, target: str) -> None:
    """Where a form goes on to is a page of the site, or nothing is done."""
    form = {"title": "Film", "duration_minutes": "90"}
    assert site.post("films/new/", form, {"url": target}).status_code == 400
    assert site.post("films/new/", {**form, "url": target}).status_code == 400
    assert rows(Movie) == []
    for path in ("films/details/", "films/edit/", "films/export/xlsx/", "cinemas/new/"):
        assert site.get(path, url=target).status_code == 400
    back = "/admin/films/?search=film"
    answer = site.post("films/new/", form, {"url": back})
    assert answer.headers["Location"] == back


def test_forms_that_are_cut_short_or_carry_files_are_none(site: Site) -> None:
    """Less of a form can be another whole one."""
    form = f"csrf_token={site.token}&title=Film&duration_minutes=12"
    answer = site._open(
        "films/new/",
        method="POST",
        input_stream=io.BytesIO(form.encode()),
        content_type="application/x-www-form-urlencoded",
        environ_overrides={"CONTENT_LENGTH": str(len(form) + 1)},
    )
    assert answer.status_code == 400
    file = {"title": FileStorage(io.BytesIO(b"x"), "x.txt"), "duration_minutes": "90"}
    assert site.post("films/new/", file).status_code == 400
    assert rows(Movie) == []


def test_who_is_not_staff_any_more_can_still_log_out(site: Site, staff: Caller) -> None:
    accounts.update_account(user_id=staff.id, is_staff=False, by=OPERATOR)
    assert site.post("logout/").status_code == 303
    assert len(rows(Session)) == 1  # the fixture's own


def test_logging_in_anew_ends_the_session_before(site: Site) -> None:
    before = {row.id for row in rows(Session)}
    site.get("login/")
    assert site.log_in().status_code == 303
    after = {row.id for row in rows(Session)}
    assert len(after) == len(before)
    assert after != before


def test_every_page_holds_under_its_policy(
    site: Site, app: Flask, alice: Caller, make_show: Callable[..., int]
) -> None:
    """No script, style or handler within a page, and nothing from another host."""
    show = make_show()
    booking = alice.post(f"/api/shows/{show}/book/", {"seat_number": 1}).json["id"]
    assert booking == show == 1
    pages = 0
    for rule in rules(app):
        if "GET" not in (rule.methods or ()) or "<export_type>" in rule.rule:
            continue
        answer = site.get(path_of(rule), id=1)
        assert answer.status_code in (200, 302, 404, 422), rule.rule
        if answer.mimetype != "text/html":
            continue
        pages += 1
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self'; style-src 'self';" in policy
        assert "unsafe" not in policy
        assert "data:" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert not re.search(r"<script(?! src=\"/static/)|<style|\sstyle=", answer.text), rule.rule
        assert not re.search(r"\son[a-z]+=|javascript:", answer.text), rule.rule
        assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", answer.text), rule.rule
    assert pages > 20


def test_errors_are_pages_in_the_words_of_the_api(site: Site, staff: Caller) -> None:
    answer = site.get("films/edit/", id="999")
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert staff.get("/api/movies/999/").json["detail"] in answer.text
    assert answer.headers["X-Request-ID"] in answer.text
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    for id_ in ("", "0", "-1", "1' OR 1=1", "9" * 30, "١"):
        assert site.get("films/edit/", id=id_).status_code in (302, 404)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_limits_of_the_log_in_are_those_of_the_api(
    app: Flask, staff: Caller, database_url: str
) -> None:
    limited = make_app(database_url, RATELIMIT_ENABLED="on", WEB_CONCURRENCY="1")
    site, wrong = Site(limited), {"username": "staff", "password": "wrong-password"}
    site.get("login/")
    for _ in range(5):
        assert site.post("login/", wrong).status_code == 401
        assert limited.test_client().post("/api/login/", json=wrong).status_code == 401
    answer = site.post("login/", wrong)
    assert answer.status_code == 429
    assert "Too many calls for one account name" in answer.text
    assert answer.headers["Retry-After"]
    assert limited.test_client().post("/api/login/", json=wrong).status_code == 429


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_log_in_counts_those_of_its_name_anew(
    app: Flask, staff: Caller, database_url: str
) -> None:
    """However it is spelled."""
    limited = make_app(database_url, RATELIMIT_ENABLED="on", WEB_CONCURRENCY="1")
    site = Site(limited)
    for _ in range(3):
        for _ in range(6):
            assert site.log_in("staff", "wrong-password").status_code == 401
        assert site.log_in(" STAFF ").status_code == 303
    logged_in = [event for event in rows(AuditEvent) if event.action == "account.logged_in"]
    assert [event.actor_name for event in logged_in] == ["staff"] * 3


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_refused_log_ins_from_an_address_count_with_those_of_the_api(
    app: Flask, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    limited = make_app(database_url, RATELIMIT_ENABLED="on", WEB_CONCURRENCY="1")
    site = Site(limited)
    site.get("login/")
    for number in range(50):
        clock.now += 10  # not too many in one minute
        wrong = {"username": f"nobody{number}", "password": "wrong-password"}
        assert site.post("login/", wrong).status_code == 401
        assert limited.test_client().post("/api/login/", json=wrong).status_code == 401
    answer = site.post("login/", wrong)
    assert answer.status_code == 429
    assert "log-ins that are refused" in answer.text


def test_a_token_from_before_the_log_in_is_none_after_it(app: Flask, staff: Caller) -> None:
    site = Site(app)
    site.get("login/")
    before = site.token
    site.log_in()
    site.token = before
    assert site.post("films/new/", {"title": "F", "duration_minutes": "9"}).status_code == 400


def test_that_the_session_has_ended_is_said_once(site: Site, staff: Caller) -> None:
    accounts.update_account(user_id=staff.id, is_disabled=True, by=OPERATOR)
    for said in (True, False):
        onward = site.get("films/edit/", id=1).headers["Location"]
        assert onward == "/admin/login/?next=%2Fadmin%2Ffilms%2Fedit%2F%3Fid%3D1"
        assert ("Your session has ended" in site.get(onward).text) is said
