"""The OpenAPI document: valid, complete, and true of what happens."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema_rs import ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator

from booking_app.web.openapi import LINK_BODY
from booking_app.web.problems import CODES, problem_schema
from booking_app.web.requests import PATH_ID_MAX
from tests.conftest import Caller
from tests.contract import PROBLEM, validate


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in ("get", "post", "put", "patch", "delete")
    ]


def test_it_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


def test_it_has_every_endpoint(app: Flask, document: dict[str, Any]) -> None:
    routes = {
        (rule.rule.replace("<id:", "{").replace(">", "}"), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert {(path, method) for path, method, _ in operations(document)} == routes


def walk(node: Any) -> Iterator[dict[str, Any]]:
    """Every object of the document."""
    if isinstance(node, dict):
        yield node
    for inner in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    ):
        yield from walk(inner)


def test_every_operation_has_an_id_of_its_own(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch("[a-z]+([A-Z][a-z]+)+", one) for one in ids), ids
    expected = {
        "signUp",
        "logIn",
        "bookSeats",
        "confirmBooking",
        "listMovieShows",
        "listMyBookings",
    }
    assert expected <= set(ids)


def test_it_says_who_and_where_and_under_what_licence(document: dict[str, Any]) -> None:
    assert document["servers"] == [{"url": "/", "description": "This server."}]
    assert document["info"]["license"] == {"name": "MIT License", "identifier": "MIT"}
    assert document["info"]["contact"]["name"]
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    assert list(tags) == ["entry", "auth", "catalog", "venues", "booking", "reports"]
    assert all(told.endswith(".") for told in tags.values())
    assert {tag for _, _, one in operations(document) for tag in one["tags"]} == set(tags)


def test_a_call_says_whether_it_needs_a_token(app: Flask, document: dict[str, Any]) -> None:
    security = {one["operationId"]: one["security"] for _, _, one in operations(document)}
    assert security["listMovies"] == security["signUp"] == security["logIn"] == []
    assert security["bookSeats"] == security["createMovie"] == [{"bearer": []}]
    assert security["logOut"] == [{"bearer": []}, {}]


def test_ids_are_of_64_bits(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in ("Movie", "Show", "Booking", "Account", "Screen", "Cinema"):
        assert schemas[name]["properties"]["id"]["format"] == "int64"
    for node in walk(document["components"]["schemas"]):
        kinds = [node["type"]] if isinstance(node.get("type"), str) else node.get("type", [])
        if "integer" in kinds:
            large = node.get("maximum", 0) >= 2**31
            assert node["format"] == "int64" if large else node["format"] in ("int32", "int64")


def test_a_size_is_said_in_the_words_of_its_type(document: dict[str, Any]) -> None:
    words = {"maxLength": "string", "maxItems": "array", "maxProperties": "object"}
    seen = set()
    for node in walk(document):
        for word, kind in words.items():
            if word in node and "type" in node and isinstance(node[word], int):
                assert kind in node["type"], node
                seen.add(word)
    assert seen == set(words)


def test_nothing_in_it_is_unused(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    for kind, components in document["components"].items():
        for name in components:
            if kind == "securitySchemes":
                assert f'{{"{name}": []}}' in text
            else:
                assert f'"#/components/{kind}/{name}"' in text, name


def test_problems_are_of_one_flat_type(document: dict[str, Any]) -> None:
    """No oneOf and no const: a client that is generated knows one type, and reads each case."""
    reference = "#/components/schemas/Problem"
    for path, method, operation in operations(document):
        responses = operation["responses"]
        assert responses["default"]["content"][PROBLEM]["schema"] == {"$ref": reference}
        for status, response in responses.items():
            if status.isdigit() and int(status) >= 400:
                schema = response["content"][PROBLEM]["schema"]
                narrowed = schema["dependentSchemas"]["code"]
                codes = narrowed["properties"]["code"]["enum"]
                assert schema == {"$ref": reference, "dependentSchemas": {"code": narrowed}}
                assert {CODES[code].status for code in codes} == {int(status)}, (method, path)
    assert not any({"oneOf", "const"} & set(node) for node in walk(document))
    problem = document["components"]["schemas"]["Problem"]
    facts = {name for code in CODES.values() for name in code.facts}
    assert set(problem["properties"]) == facts | set(problem["required"])


def test_a_fact_has_the_same_type_whatever_the_code() -> None:
    shared = problem_schema()["properties"]
    for code, entry in CODES.items():
        for name, schema in entry.facts.items():
            assert schema == shared[name], (code, name)


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["description"], where
        if "requestBody" in operation:
            assert "example" in operation["requestBody"]["content"]["application/json"], where


def test_every_operation_answers_in_one_type(document: dict[str, Any]) -> None:
    """What is asked for by `Accept` gets no type in the clients that are generated."""
    for path, method, operation in operations(document):
        types = {
            media_type
            for status, response in operation["responses"].items()
            if status.startswith("2")
            for media_type in response.get("content", {"none": {}})
        }
        assert len(types) == 1, f"{method} {path}: {types}"


def test_every_operation_declares_what_its_kind_declares_problems(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        where = f"{method} {path}"
        statuses = set(operation["responses"])
        assert {"400", "422"} <= statuses, where
        assert ("503" in statuses) == (path != "/api/"), where
        assert ("401" in statuses) == (
            operation["security"] != [] or path in ("/api/login/", "/api/token/refresh/")
        ), where
        assert ("404" in statuses) == ("{" in path), where
        assert ({"413", "415"} <= statuses) == (method != "get"), where
        assert "500" not in statuses, where


def test_every_answer_has_an_example_that_is_one(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        for status, response in operation["responses"].items():
            content = response.get("content", {}).get("application/json")
            if content and status != "default":
                validate(content["schema"], content["example"])
                assert content["example"], (method, path)


def test_every_answer_says_which_headers_it_has(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        where = f"{method} {path}"
        read = [one.get("$ref", one.get("name")) for one in operation["parameters"]]
        assert read.count("#/components/parameters/RequestId") == 1, where
        for status, response in operation["responses"].items():
            headers = set(response["headers"])
            assert "X-Request-ID" in headers, where
            assert ("WWW-Authenticate" in headers) == (status == "401"), where
            assert ("ETag" in headers) <= (status in ("200", "201", "304")), where
            if status == "304":
                assert "#/components/parameters/IfNoneMatch" in read, where
            if status in ("429", "503"):
                assert "Retry-After" in headers, where


def test_patterns_are_of_ecmascript(document: dict[str, Any]) -> None:
    """Its `^` and `$` are Python's `\\A` and `\\Z`, which it does not know."""
    patterns = [node["pattern"] for node in walk(document) if "pattern" in node]
    texts = [pattern for pattern in patterns if isinstance(pattern, str)]
    assert "^[A-Z]{3}$" in texts
    assert not any(re.search(r"\\[AZ]|\(\?P", text) for text in texts)


def test_links_lead_to_calls_that_take_what_they_give(document: dict[str, Any]) -> None:
    calls = {one["operationId"]: (path, one) for path, _, one in operations(document)}
    links = [
        link
        for _, operation in calls.values()
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]
    assert len(links) > 30
    for link in links:
        path, operation = calls[link["operationId"]]
        for name in link.get("parameters", {}):
            assert f"{{{name}}}" in path
        assert (LINK_BODY in link) <= ("requestBody" in operation)
        assert "requestBody" not in link
    assert {"logIn"} == set(calls["signUp"][1]["responses"]["201"]["links"])
    after_hold = calls["holdSeats"][1]["responses"]["201"]["links"]
    assert {"confirmBooking", "cancelBooking"} <= set(after_hold)


@pytest.mark.parametrize(
    ("schema", "body", "allowed"),
    [
        ("BookBody", {"seat_number": "5"}, True),
        ("BookBody", {"seat_numbers": ["5", "6"]}, True),
        ("BookBody", {"quantity": 2, "category": "vip", "split": True}, True),
        ("BookBody", {}, False),
        ("BookBody", {"seat_number": "5", "quantity": 1}, False),
        ("BookBody", {"seat_number": "5", "seat_numbers": ["6"]}, False),
        ("BookBody", {"seat_number": "5", "category": "vip"}, False),
        ("BookBody", {"seat_number": "5", "user": 1, "username": "a"}, False),
        ("BookBody", {"seat_number": "5\x00"}, False),
        ("ShowBody", {"date_time": "2030-01-31T20:00:00Z", "screen": 1}, True),
        (
            "ShowBody",
            {"date_time": "2030-01-31T20:00:00Z", "screen_name": "1", "total_seats": 5},
            True,
        ),
        ("ShowBody", {"date_time": "2030-01-31T20:00:00Z", "screen_name": "1"}, False),
        ("ShowBody", {"date_time": "2030-01-31T20:00:00Z", "screen": 1, "total_seats": 5}, False),
        ("ShowBody", {"date_time": "2030-01-31T20:00:00Z"}, False),
        ("ShowPatch", {"screen": 1, "screen_name": "1"}, False),
        ("SignupBody", {"username": "a", "password": "staple-battery", "email": "a"}, False),
        ("MovieBody", {"title": "a\x07", "duration_minutes": 9}, False),
        ("MovieBody", {"title": "a", "duration_minutes": 9, "description": "b\n\tc"}, True),
        ("MovieBody", {"title": "a", "duration_minutes": 9, "description": "b\x07"}, False),
        ("MovieBody", {"title": "a", "duration_minutes": 9, "genres": ["a|b"]}, False),
        ("MovieBody", {"title": "a", "duration_minutes": 9, "poster_url": "ftp://a"}, False),
    ],
)
def test_what_is_refused_stands_in_the_document(
    schema: str, body: dict[str, Any], allowed: bool
) -> None:
    try:
        validate({"$ref": f"#/components/schemas/{schema}"}, body)
    except ValidationError:
        assert not allowed
    else:
        assert allowed


def test_path_ids_are_bounded(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for parameter in methods.get("parameters", ()):
            schema = {"type": "integer", "format": "int64", "minimum": 1, "maximum": PATH_ID_MAX}
            assert parameter["schema"] == schema


def test_the_examples_work_as_they_stand(client: FlaskClient, alice: Caller, show_id: int) -> None:
    """Its ids are of a show that can be booked, and of a seat that is free, at this moment."""
    for _ in range(2):
        document = client.get("/openapi.json").json
        path = document["paths"]["/api/shows/{show_id}/book/"]
        assert path["parameters"][0]["example"] == show_id
        body = path["post"]["requestBody"]["content"]["application/json"]["example"]
        assert alice.post(f"/api/shows/{show_id}/book/", body).status_code == 201


def test_swagger_ui_needs_no_other_host(client: FlaskClient) -> None:
    page = client.get("/swagger/").text
    assert "://" not in page
    assert "<script>" not in page
    for path in (
        "/swagger/assets/swagger-ui-bundle.js",
        "/swagger/assets/swagger-ui.css",
        "/static/swagger.js",
        "/favicon.ico",
    ):
        with client.get(path) as answer:
            assert answer.status_code == 200
    with client.get("/swagger/assets/../../setup.py") as answer:
        assert answer.status_code == 404
