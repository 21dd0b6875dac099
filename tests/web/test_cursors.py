"""Lists by cursor: nothing comes twice or is left out while others are added."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Caller
from tests.system.test_statements import counted, own

# Whose owner has no use for their number, and which may be long.
UNCOUNTED = "/api/my-bookings/"
LISTS = [UNCOUNTED, "/api/bookings/", "/api/audit/"]


@pytest.fixture
def add(staff: Caller, make_show: Callable[..., int]) -> Callable[[int], None]:
    """Adds to each of the lists of `staff`: a booking of theirs, which is audited."""
    show, numbers = make_show(total_seats=50), iter(range(1, 51))

    def book(times: int) -> None:
        for _ in range(times):
            made = staff.post(f"/api/shows/{show}/book/", {"seat_number": next(numbers)})
            assert made.status_code == 201

    return book


def facts(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.headers["X-Pagination"])
    return found


def ids(answer: Any) -> list[int]:
    return [item["id"] for item in answer.json]


def links(answer: Any) -> dict[str, str]:
    """The targets of the `Link` header, by relation."""
    found = re.findall(r'<([^>]*)>; rel="(\w+)"', answer.headers.get("Link", ""))
    return {relation: target for target, relation in found}


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("by_link", [False, True])
def test_no_item_comes_twice_or_is_left_out_while_others_are_added(
    staff: Caller, add: Callable[[int], None], path: str, by_link: bool
) -> None:
    add(5)
    there = ids(staff.get(path))
    answer = staff.get(f"{path}?page_size=2")
    found = ids(answer)
    while (following := facts(answer)["next"]) is not None:
        add(1)
        where = f"{path}?page_size=2&after={following}"
        link = links(answer)["next"]
        assert link == where
        answer = staff.get(link if by_link else where)
        assert set(facts(answer)) == {"page_size", "next"}
        found += ids(answer)
    assert found == there
    assert len(there) >= 5
    assert "Link" not in answer.headers


def test_by_the_page_items_do_come_twice(staff: Caller, add: Callable[[int], None]) -> None:
    """Why there are cursors."""
    add(4)
    first = ids(staff.get("/api/my-bookings/?page_size=2"))
    add(1)
    assert ids(staff.get("/api/my-bookings/?page_size=2&page=2"))[0] == first[-1]


@pytest.mark.parametrize("path", LISTS)
def test_a_page_tells_its_cursor_too(staff: Caller, add: Callable[[int], None], path: str) -> None:
    add(6)
    whole = ids(staff.get(path))
    second = staff.get(f"{path}?page_size=2&page=2")
    told = facts(second)
    counts = path != UNCOUNTED
    told_of_all = {"total": len(whole), "total_pages": -(-len(whole) // 2)} if counts else {}
    assert told == {"page": 2, "page_size": 2, "next": told["next"], **told_of_all}
    assert set(links(second)) == {"next", "prev", "first"} | ({"last"} if counts else set())
    assert ids(staff.get(links(second)["prev"])) == whole[:2]
    assert ids(staff.get(f"{path}?after={told['next']}")) == whole[4:]
    size = len(whole)
    for query in (f"page_size={size}", "page=9"):
        answer = staff.get(f"{path}?{query}")
        assert facts(answer)["next"] is None
        assert "next" not in links(answer)
    beyond = staff.get(f"{path}?page_size={size}&page=9")
    assert links(beyond)["prev"] == f"{path}?page_size={size}&page={1 if counts else 8}"


def test_the_end_is_known_where_the_last_part_is_full(
    staff: Caller, add: Callable[[int], None]
) -> None:
    add(4)
    first = staff.get("/api/my-bookings/?page_size=2")
    last = staff.get(f"/api/my-bookings/?page_size=2&after={facts(first)['next']}")
    assert len(last.json) == 2
    assert facts(last) == {"page_size": 2, "next": None}


def test_filters_go_along(staff: Caller, alice: Caller, make_show: Callable[..., int]) -> None:
    show = make_show()
    for number in (1, 2, 3):
        for caller, seat in ((alice, number), (staff, number + 5)):
            caller.post(f"/api/shows/{show}/book/", {"seat_number": seat})
    answer = staff.get(f"/api/bookings/?search=ALICE&show={show}&page_size=2")
    link = links(answer)["next"]
    assert f"?search=ALICE&show={show}&page_size=2&after=" in link
    rest = staff.get(link)
    assert {one["user"] for one in answer.json + rest.json} == {alice.id}
    assert len(answer.json + rest.json) == 3
    # A query is written into the link as it can stand there.
    spaced = staff.get("/api/bookings/?page_size=2&search=%20third%20man%20")
    link = links(spaced)["next"]
    assert "&search=+third+man+&" in link
    assert len(staff.get(link).json) == 2


# The last ones: another list's, an id that no row can have, one in other digits and capitals.
MALFORMED = ["", "x", "12", "-1", "b", "b12", "%00", "b" + "0" * 15, "b" + "0" * 17]
MALFORMED += ["e" + "0" * 16, "b8" + "0" * 15, "b" + "٣" * 16, "b" + "A" * 16, "b" + "g" * 16]


@pytest.mark.parametrize("after", MALFORMED)
@pytest.mark.parametrize("path", ["/api/my-bookings/", "/api/bookings/"])
def test_a_malformed_cursor_is_422(staff: Caller, path: str, after: str) -> None:
    refused = staff.get(f"{path}?after={after}")
    assert (refused.status_code, refused.json["code"]) == (422, "validation_failed")
    assert "after" in str(refused.json["errors"])


def test_any_that_the_document_allows_is_taken(staff: Caller, add: Callable[[int], None]) -> None:
    add(2)
    newest = ids(staff.get("/api/my-bookings/"))
    assert ids(staff.get("/api/my-bookings/?after=b7" + "f" * 15)) == newest
    assert staff.get("/api/my-bookings/?after=b" + "0" * 16).json == []


@pytest.mark.parametrize("path", LISTS)
def test_a_cursor_and_a_page_do_not_go_together(
    staff: Caller, add: Callable[[int], None], path: str
) -> None:
    add(3)
    following = facts(staff.get(f"{path}?page_size=1"))["next"]
    refused = staff.get(f"{path}?after={following}&page=1")
    assert (refused.status_code, refused.json["code"]) == (422, "validation_failed")
    assert "after" in str(refused.json["errors"])
    elsewhere = LISTS[0] if path == LISTS[2] else LISTS[2]
    assert staff.get(f"{elsewhere}?after={following}").status_code == 422


@pytest.mark.parametrize("path", LISTS)
def test_by_cursor_nothing_is_counted_and_one_statement_is_sent(
    staff: Caller, add: Callable[[int], None], path: str
) -> None:
    add(6)
    following = facts(staff.get(f"{path}?page_size=2"))["next"]
    last = facts(staff.get(f"{path}?after={following}&page_size=100"))
    assert last["next"] is None
    for query in (f"?after={following}", f"?after={following}&page_size=1", "?page_size=3"):
        with counted() as statements:
            assert staff.get(f"{path}{query}").status_code == 200
        # One's own list sees with the same statement that the session is open.
        (statement,) = statements if path == UNCOUNTED else own(statements)
        assert ("count(" in statement) == ("after" not in query and path != UNCOUNTED)
