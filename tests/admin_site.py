"""The admin site as a browser without scripts sees it."""

import html
import re
from typing import Any

from flask import Flask, g
from flask.testing import FlaskClient
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

from tests.conftest import PASSWORD


class Site:
    """A browser at the admin site: it keeps the cookie and the last form's token."""

    def __init__(self, app: Flask, **options: Any) -> None:
        # Not the client of the API's contract: these answers are pages.
        self.client = FlaskClient(app, app.response_class, use_cookies=True)
        self.options = options
        self.token = ""

    def get(self, path: str = "", **query: Any) -> TestResponse:
        """A page below `/admin/`."""
        return self._open(path, method="GET", query_string=query or None)

    def post(
        self, path: str, fields: dict[str, Any] | None = None, query: dict[str, Any] | None = None
    ) -> TestResponse:
        """Send a form, with the token of the last one that was seen."""
        data = MultiDict({"csrf_token": self.token, **(fields or {})})
        return self._open(path, method="POST", data=data, query_string=query)

    def _open(self, path: str, **kwargs: Any) -> TestResponse:
        for name in list(g):  # the tests' own context is that of each request
            g.pop(name)
        address = path if path.startswith("/") else f"/admin/{path}"
        answer = self.client.open(address, **kwargs, **self.options)
        if answer.mimetype == "text/html":
            found = re.search(r'name="csrf_token" value="([^"]+)"', answer.text)
            self.token = found[1] if found else self.token
        return answer

    def log_in(self, username: str = "staff", password: str = PASSWORD) -> TestResponse:
        """Through the form."""
        self.get("login/")
        answer = self.post("login/", {"username": username, "password": password})
        if answer.status_code == 303:
            self.get()  # for the token of its form
        return answer


def messages(answer: TestResponse) -> list[str]:
    """What the page says above its content and at its fields."""
    found = re.findall(
        r'<p class="(?:message )?(?:error|success|info)"[^>]*>(.*?)</p>', answer.text, re.S
    )
    return [html.unescape(message) for message in found]


def table(answer: TestResponse) -> list[list[str]]:
    """The cells of the page's table, row by row, without its head."""
    body = re.search(r"<tbody>(.*?)</tbody>", answer.text, re.S)
    if body is None:
        return []
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", body[1], re.S)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in rows]
    return [[html.unescape(re.sub(r"<[^>]*>", "", cell)).strip() for cell in row] for row in cells]
