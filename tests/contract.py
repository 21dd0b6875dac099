"""Holds an answer against what the OpenAPI document declares for its endpoint."""

import json
from functools import cache
from typing import Any

import jsonschema_rs
from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from booking_app.web import problems
from booking_app.web.headers import SENT
from booking_app.web.openapi import api

PROBLEM = "application/problem+json"


def check_answer(app: Flask, response: TestResponse) -> None:
    """Raises AssertionError where the answer's status, headers, media type, code or body are not
    declared."""
    path, method = response.request.path, response.request.method
    if response.status_code >= 400:
        check_problem(response)
    operation = find_operation(app, path, method)
    if operation is None or response.status_code == 405:
        return
    declared = operation["responses"].get(str(response.status_code))
    assert declared is not None, f"{method} {path} does not declare {response.status_code}"
    undeclared = {name for name in SENT if name in response.headers} - set(declared["headers"])
    assert not undeclared, f"{method} {path} does not declare {undeclared}"
    content = declared.get("content")
    if content is None:
        assert response.data in (b"", b"null"), f"{method} {path}: a body where none is declared"
        return
    assert response.mimetype in content, f"{method} {path}: {response.mimetype} is not declared"
    if response.is_json:
        validate(content[response.mimetype]["schema"], json.loads(response.data))


def check_problem(response: TestResponse) -> None:
    """Every error has the one form, a known code, its status and exactly its extra fields."""
    assert response.mimetype == PROBLEM, response.data
    body = json.loads(response.data)
    code = problems.CODES[body["code"]]
    assert body["status"] == code.status == response.status_code
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert body["detail"]
    validate({"$ref": "#/components/schemas/Problem"}, body)
    always = problems.problem_schema()["required"]
    assert set(body) == {*always, *code.facts}
    assert ("WWW-Authenticate" in response.headers) == (code.status == 401)
    assert ("Retry-After" in response.headers) == (body["code"] in problems.WITH_RETRY_AFTER)


def document(app: Flask) -> dict[str, Any]:
    """The OpenAPI document as it is served, without the examples of the moment."""
    if "openapi_document" not in app.extensions:
        app.extensions["openapi_document"] = json.loads(json.dumps(api.spec.to_dict()))
    found: dict[str, Any] = app.extensions["openapi_document"]
    return found


def declared_codes(operation: dict[str, Any]) -> set[str]:
    """The codes of the problems that an operation declares."""
    return {
        code
        for response in operation["responses"].values()
        for code in response.get("content", {})
        .get(PROBLEM, {"schema": {}})["schema"]
        .get("dependentSchemas", {"code": {"properties": {"code": {"enum": []}}}})["code"][
            "properties"
        ]["code"]["enum"]
    }


def find_operation(app: Flask, path: str, method: str) -> dict[str, Any] | None:
    """What the document says of this call; None where it is no call of the API."""
    try:
        rule, _ = app.url_map.bind("localhost").match(path, method, return_rule=True)
    except HTTPException:
        return None
    if not rule.rule.startswith("/api/"):
        return None
    template = rule.rule
    for argument in rule.arguments:
        template = template.replace(f"<id:{argument}>", f"{{{argument}}}")
    if method in ("HEAD", "OPTIONS"):  # Flask's own
        return None
    found: dict[str, Any] = document(app)["paths"][template][method.lower()]
    return found


def validate(schema: dict[str, Any], body: Any) -> None:
    """`body` against a schema of the document, whose references stand within it; raises
    jsonschema_rs.ValidationError."""
    _validator(json.dumps(schema)).validate(body)


@cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    root = json.loads(schema) | {
        "components": json.loads(json.dumps(api.spec.to_dict()["components"]))
    }
    return jsonschema_rs.Draft202012Validator(root, validate_formats=True)
