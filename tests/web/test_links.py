"""The document alone leads from signing up to cancelling: by its links, their expressions and its
examples of bodies. That each answer is as declared is seen to by the client of all tests."""

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from booking_app.web.openapi import LINK_BODY
from tests.conftest import PASSWORD, bearer

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Follower:
    """A caller that knows nothing but the document."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client
        self.headers: dict[str, str] = {}
        self.calls: dict[str, tuple[str, str, dict[str, Any]]] = {}
        document: dict[str, Any] = client.get("/openapi.json").json
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if "operationId" in operation:
                    self.calls[operation["operationId"]] = (method, path, operation)
        self.sent: Any = None
        self.answer: Any = None
        self.links: dict[str, Any] = {}

    def call(self, name: str, body: Any = None, **parameters: Any) -> None:
        method, path, operation = self.calls[name]
        answer = self.client.open(
            path.format(**parameters), method=method.upper(), json=body, headers=self.headers
        )
        assert answer.status_code < 300, answer.text
        self.sent, self.answer = body, answer.json
        self.links = operation["responses"][str(answer.status_code)].get("links", {})

    def follow(self, name: str, body: Any = None) -> None:
        link = self.links[name]
        if LINK_BODY in link:
            body = {key: self.value(told) for key, told in link[LINK_BODY].items()}
        found = link.get("parameters", {})
        self.call(link["operationId"], body, **{key: self.value(found[key]) for key in found})

    def value(self, expression: str) -> Any:
        """The value of a runtime expression."""
        whose, pointer = re.fullmatch(r"\$(request|response)\.body#(/.+)", expression).groups()  # type: ignore[union-attr]
        value = self.sent if whose == "request" else self.answer
        for step in pointer.split("/")[1:]:
            value = value[int(step) if isinstance(value, list) else step]
        return value


@pytest.mark.parametrize("way", ["bookSeats", "holdSeats"])
def test_links_lead_from_signing_up_to_cancelling(
    app: Flask, client: FlaskClient, show_id: int, way: str
) -> None:
    caller = Follower(client)
    caller.call("signUp", {"username": "walker", "password": PASSWORD})
    caller.follow("logIn")
    caller.headers = bearer(caller.answer)
    caller.follow("listShows")
    caller.follow("getShow")
    assert caller.answer["id"] == show_id
    caller.follow(way, {"seat_numbers": ["1", "2"]})
    if way == "holdSeats":
        caller.follow("extendHold")
        caller.follow("confirmBooking")
    assert caller.answer["status"] == "booked"
    caller.follow("cancelBooking")
    assert caller.answer["status"] == "cancelled"
