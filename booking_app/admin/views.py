"""What the pages of the admin site share: how they answer, and how a list with its forms goes
through the services."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import marshmallow as ma
from flask import Response, flash, g, make_response, request
from flask_admin import BaseView
from flask_admin.helpers import get_form_data
from wtforms import Form

from booking_app.admin import forms
from booking_app.admin.lists import ListView
from booking_app.errors import DomainError, Invalid, NotFound
from booking_app.extensions import IdConverter
from booking_app.problems import CODES, invalid


class Page(BaseView):
    """A page; where something was refused, with the status of that."""

    def render(self, template: str, **kwargs: Any) -> Response:
        answer = make_response(super().render(template, account=g.get("staff"), **kwargs))
        answer.status_code = g.pop("refused", 200)
        return answer


def refuse(form: Form, error: DomainError) -> None:
    """Show why: at the fields of the form where it is about them, else above it."""
    if isinstance(error, Invalid):
        forms.refuse(form, error)
    else:
        flash(error.detail, "error")
    g.refused = CODES[error.code].status


def attempt(form: Form, work: Callable[[], Any]) -> Any:
    """What `work` gives; False where it is refused, and the page says why."""
    try:
        return work()
    except DomainError as error:
        refuse(form, error)
        return False


def read(form: Form, schema: ma.Schema, **kwargs: Any) -> dict[str, Any] | None:
    """As `forms.read`, for a page."""
    values = forms.read(form, schema, **kwargs)
    if values is None:
        g.refused = 422
    return values


def queried(schema: ma.Schema) -> dict[str, Any]:
    """What the schema knows of the query; raises `problems.BadRequest`."""
    known = {name: value for name, value in request.args.items() if name in schema.fields}
    try:
        values: dict[str, Any] = schema.load(known)
    except ma.ValidationError as error:
        raise invalid("query", error.messages_dict) from error
    return values


def chosen(form: Form, name: str) -> int | None:
    """The id that is chosen; where none is, the form says so."""
    key: int | None = form[name].wire()
    if key is None:
        form[name].errors = ["Choose one."]
        g.refused = 422
    return key


def key_of(text: Any, thing: str) -> int:
    """An id of the query; raises NotFound for what can be none."""
    if not re.fullmatch(IdConverter.regex, str(text)):
        raise NotFound(thing, str(text)[:20])
    return int(text)


class Rows(Page, ListView):
    """A list, and forms to make, change and delete its rows. `find`, `add`, `change` and `remove`
    are the services' functions."""

    list_template = "admin/list.html"
    create_template = edit_template = "admin/form.html"
    thing: str

    def find(self, key: int) -> Mapping[Any, Any]:
        raise NotImplementedError

    def add(self, form: Form) -> Any:
        """The new row; None where the form says what is wrong."""
        raise NotImplementedError

    def change(self, form: Form, row: Mapping[Any, Any]) -> Any:
        raise NotImplementedError

    def remove(self, key: int) -> None:
        raise NotImplementedError

    def shown(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        """What the form shows of a row."""
        raise NotImplementedError

    def offer(self, form: Form) -> None:
        """Give the form's choices what they offer."""

    def links(self, row: Mapping[Any, Any]) -> list[tuple[str, str]]:
        """Where one may go from a row, by `(text, address)`."""
        return [("Edit", self.get_url(".edit_view", id=row["id"]))] if self.can_edit else []

    def more(self) -> list[tuple[str, str]]:
        """What else can be made, by `(text, address)`."""
        return []

    # What Flask-Admin calls

    def scaffold_form(self) -> Any:
        return Form

    def create_form(self, obj: Any = None) -> Form:
        form = super().create_form()
        self.offer(form)
        return form

    def edit_form(self, obj: Any = None) -> Form:
        form = self._edit_form_class(get_form_data(), data=self.shown(obj))
        self.offer(form)
        return form

    def validate_form(self, form: Form) -> bool:
        return request.method == "POST"

    def get_one(self, id: Any) -> Mapping[Any, Any]:
        return self.find(key_of(id, self.thing))

    def create_model(self, form: Form) -> Any:
        return attempt(form, lambda: self.add(form)) or False

    def update_model(self, form: Form, model: Mapping[Any, Any]) -> bool:
        return bool(attempt(form, lambda: self.change(form, model)))

    def delete_model(self, model: Mapping[Any, Any]) -> bool:
        return attempt(Form(), lambda: self.remove(model["id"])) is None
