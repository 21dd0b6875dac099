"""What the pages of the admin site share: how they answer, and how a list with its forms goes
through the services."""

import hashlib
import json
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
from booking_app.catalog.times import by_clocks
from booking_app.core.errors import DomainError, Invalid, NotFound
from booking_app.web.problems import CODES, invalid
from booking_app.web.requests import IdConverter


class Page(BaseView):
    """A page; where something was refused, with the status of that."""

    def render(self, template: str, **kwargs: Any) -> Response:
        answer = make_response(super().render(template, account=g.get("staff"), **kwargs))
        answer.status_code = g.pop("refused", 200)
        return answer


def refuse(form: Form, error: DomainError) -> None:
    """Show why: at the fields of the form where it is about them, else above it. Times are by the
    clocks of `g.timezone`, where a page has set it."""
    timezone = g.get("timezone", "UTC")
    if isinstance(error, Invalid):
        (errors,) = error.facts["errors"].values()
        forms.show_errors(form, errors, lambda message: by_clocks(message, timezone))
    else:
        flash(by_clocks(error.detail, timezone), "error")
    g.refused = CODES[error.code].status


def attempt(form: Form, work: Callable[[], Any]) -> Any:
    """What `work` gives; False where it is refused, and the page says why."""
    try:
        return work()
    except forms.Refused:
        g.refused = 422
    except DomainError as error:
        refuse(form, error)
    return False


def queried(schema: ma.Schema) -> dict[str, Any]:
    """What the schema knows of the query; raises `problems.BadRequest`."""
    known = {name: value for name, value in request.args.items() if name in schema.fields}
    try:
        values: dict[str, Any] = schema.load(known)
    except ma.ValidationError as error:
        raise invalid("query", error.messages_dict) from error
    return values


def chosen(form: Form, name: str) -> int:
    """The id that is chosen; 0 where none is, and the form says so."""
    key = form[name].wire()
    if isinstance(key, int):
        return key
    form[name].errors = ["Choose one."]
    return 0


def digest(values: Mapping[str, Any]) -> str:
    """Names these values, so that a form can say what it was made of."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def key_of(text: Any, thing: str) -> int:
    """An id of the query; raises NotFound for what can be none."""
    if not re.fullmatch(IdConverter.regex, str(text)):
        raise NotFound(thing, str(text)[:20])
    return int(text)


class Rows(Page, ListView):
    """A list, and forms to make, change and delete its rows. `find`, `add`, `change` and `remove`
    call the services' functions, and raise what these raise and `forms.Refused`."""

    list_template = "admin/list.html"
    create_template = edit_template = "admin/form.html"
    thing: str

    def find(self, key: int) -> Mapping[Any, Any]:
        raise NotImplementedError

    def add(self, form: Form) -> Any:
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

    def heading(self, row: Mapping[Any, Any]) -> str:
        """What a row, as `find` gives it, is called above its form."""
        return str(row["name"])

    def address(self, row: Mapping[Any, Any]) -> str | None:
        """Where the row's name in the list leads."""
        return None

    def may_edit(self, row: Mapping[Any, Any]) -> bool:
        """Whether the list leads to the row's form."""
        return bool(self.can_edit)

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
        shown = self.shown(obj)
        form = self._edit_form_class(get_form_data(), data=shown)
        self._template_args["seen"] = digest(shown)
        self.offer(form)
        return form

    def validate_form(self, form: Form) -> bool:
        return request.method == "POST"

    def get_one(self, id: Any) -> Mapping[Any, Any]:
        return self.find(key_of(id, self.thing))

    def create_model(self, form: Form) -> Any:
        return attempt(form, lambda: self.add(form))

    def update_model(self, form: Form, model: Mapping[Any, Any]) -> bool:
        seen = digest(self.shown(model))
        if request.form.get("seen", seen) != seen:
            flash("Somebody changed this meanwhile. Save again to overwrite that.", "error")
            g.refused = 409
            return False
        return attempt(form, lambda: self.change(form, model)) is not False

    def delete_model(self, model: Mapping[Any, Any]) -> bool:
        return attempt(Form(), lambda: self.remove(model["id"])) is None
