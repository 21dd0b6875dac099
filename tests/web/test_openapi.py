"""The OpenAPI document: valid, complete, and true of what happens."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from booking_app.web.requests import PATH_ID_MAX
from tests.conftest import Caller


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
        assert {"422", "503"} <= statuses, where
        assert ("401" in statuses) == (
            "security" in operation or path in ("/api/login/", "/api/token/refresh/")
        ), where
        assert ("404" in statuses) == ("{" in path), where
        assert ({"413", "415"} <= statuses) == (method != "get"), where
        assert ("400" in statuses) == (method != "get"), where
        assert "500" not in statuses, where


def test_path_ids_are_bounded(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for parameter in methods.get("parameters", ()):
            schema = {"type": "integer", "minimum": 1, "maximum": PATH_ID_MAX}
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
