"""The page of the catalogue file in the admin site."""

import html
import json
import re
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from typing import Any

from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from booking_app.catalog import movies
from booking_app.catalog.models import Movie, Show
from booking_app.core.formats import iso
from tests.admin.pages import written
from tests.admin_site import Site, messages
from tests.conftest import present, rows

PAGE = "catalog-file/"


def film(**facts: Any) -> dict[str, Any]:
    return {"title": "Äpfel", "duration_minutes": 90, **facts}


def chosen(content: bytes, name: str = "catalog.json") -> FileStorage:
    return FileStorage(BytesIO(content), filename=name)


def send(site: Site, content: Any, **fields: Any) -> Any:
    """Choose a file with that content, or those bytes, and press a button."""
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    return site.post(PAGE, {"file": chosen(content), "check": "1", **fields})


def hidden(answer: Any) -> dict[str, str]:
    """What the page sends again without a file that is chosen."""
    text = re.search(r'<textarea name="text"[^>]*>(.*?)</textarea>', answer.text, re.S)
    checked = re.search(r'name="checked" value="([^"]+)"', answer.text)
    assert text is not None
    assert checked is not None
    return {"text": html.unescape(text[1]), "checked": checked[1]}


def test_a_look_and_then_the_load(site: Site) -> None:
    looked = send(site, {"movies": [film()]})
    assert "To add: 1 film." in looked.text
    assert rows(Movie) == []
    done = site.post(PAGE, {**hidden(looked), "load": "1"})
    assert done.status_code == 303
    assert messages(site.get(PAGE)) == ["Added: 1 film."]
    assert [movie.title for movie in rows(Movie)] == ["Äpfel"]
    (event,) = written("catalog.loaded")
    assert event.actor_name == "staff"


def test_what_changed_meanwhile_is_shown_and_nothing_done(site: Site) -> None:
    looked = send(site, {"movies": [film()]})
    movies.create_movie(title="Äpfel", duration_minutes=80)
    again = site.post(PAGE, {**hidden(looked), "load": "1"})
    assert messages(again) == ["Something changed meanwhile, and nothing was loaded. Look again."]
    assert "duration_minutes" in again.text
    assert len(rows(Movie)) == 1


def test_only_what_was_looked_at_is_loaded(site: Site) -> None:
    """Neither with other choices nor from another file."""
    looked = send(site, {"movies": [film()]})
    for changed in (
        {"skip_conflicts": "y"},
        {"text": json.dumps({"movies": [film(year=1990)]})},
        {"checked": "x"},
    ):
        assert site.post(PAGE, {**hidden(looked), "load": "1", **changed}).status_code == 200
    assert rows(Movie) == []


def test_differences_are_taken_over_where_that_is_chosen(site: Site) -> None:
    movies.create_movie(title="Äpfel", duration_minutes=80)
    looked = send(site, {"movies": [film()]})
    assert "Differences to take over: 0; to leave: 1." in looked.text
    assert 'name="load"' not in looked.text
    looked = site.post(PAGE, {**hidden(looked), "update": "y", "check": "1"})
    assert "Differences to take over: 1; to leave: 0." in looked.text
    done = site.post(PAGE, {**hidden(looked), "update": "y", "load": "1"})
    assert done.status_code == 303
    assert [movie.duration_minutes for movie in rows(Movie)] == [90]
    (event,) = written("movie.changed")
    assert event.actor_name == "staff"


def test_what_is_in_the_way_links_to_the_show(site: Site, make_show: Callable[..., int]) -> None:
    there = make_show(screen_name="One")
    begins = iso(present() + timedelta(days=2, minutes=5))
    show = {"screen_name": "One", "total_seats": 3, "date_time": begins}
    looked = send(site, {"movies": [film(shows=[show])]})
    assert f'<a href="/admin/shows/{there}/seats/">show {there}</a>' in looked.text
    assert 'name="load"' not in looked.text
    skipping = site.post(PAGE, {**hidden(looked), "skip_conflicts": "y", "check": "1"})
    done = site.post(PAGE, {**hidden(skipping), "skip_conflicts": "y", "load": "1"})
    assert done.status_code == 303
    assert len(rows(Movie)) == 2
    assert [row.id for row in rows(Show)] == [there]


def test_what_can_t_be_read_is_told_at_the_field(site: Site) -> None:
    for content, told in (
        (b"{", "not readable JSON: Expecting property name"),
        (b"\xff", "Is not text in UTF-8"),
        (b'{"movies": [{"titel": "x"}]}', "movies[0].titel: Unknown field"),
        (b'{"movies": [' + b"[]," * 20_001 + b"[]]}", "at most 20,000 are read here"),
    ):
        refused = send(site, content)
        assert refused.status_code == 422
        assert told in html.unescape(refused.text)
    nothing = site.post(PAGE, {"check": "1"})
    assert messages(nothing) == ["Choose a file."]


def test_a_file_of_nearly_a_mebibyte(site: Site) -> None:
    """The whole form may have 1 MiB; the file is sent a second time with it, as a field."""
    file = '{"movies": [' + " " * 1_000_000 + "]}"

    def send_form(name: str, size: int) -> Any:
        boundary, body = encode_multipart({"csrf_token": site.token, "check": "1", name: "here"})
        body = body.replace(b"here", (file * size).encode())
        label = f'multipart/form-data; boundary="{boundary}"'
        return site._open(PAGE, method="POST", data=body, content_type=label)

    assert 'name="checked"' in send_form("text", 1).text
    assert send_form("text", 2).status_code == 413


def test_shows_of_too_many_seats_are_for_the_command(site: Site) -> None:
    begins = present() + timedelta(days=1)
    many = [
        {"screen_name": str(number), "total_seats": 5000, "date_time": iso(begins)}
        for number in range(21)
    ]
    refused = send(site, {"movies": [film(shows=many)]})
    assert "The new shows have 105,000 seats in all" in refused.text
    assert rows(Show) == []


def test_other_forms_send_no_files(site: Site) -> None:
    refused = site.post("films/new/", {"file": chosen(b"x"), "title": "A"})
    assert refused.status_code == 400
    assert "This form sends no files." in refused.text


def test_the_export(site: Site) -> None:
    movies.create_movie(title="Äpfel", duration_minutes=80)
    answer = site.get(PAGE + "export/")
    assert answer.headers["Content-Disposition"] == "attachment; filename=catalog.json"
    assert [movie["title"] for movie in json.loads(answer.text)["movies"]] == ["Äpfel"]
    assert f'href="/admin/{PAGE}"' in site.get("films/").text
