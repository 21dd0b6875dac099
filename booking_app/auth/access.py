"""Who may call an endpoint: `@signed_in` or `@staff_only`, under `route` and above `arguments`."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask_jwt_extended import get_jwt_identity, jwt_required

from booking_app.auth import service
from booking_app.extensions import Blueprint, View

SECURITY: list[dict[str, list[str]]] = [{"bearer": []}]
TOKEN_CODES = ("not_authenticated", "invalid_token", "token_expired")


def current_user_id() -> int:
    """The id of the account whose access token came with the request."""
    return int(get_jwt_identity())


def signed_in(view: View) -> View:
    """Decorator: the caller needs an access token."""
    documented = Blueprint.doc(security=SECURITY)(Blueprint.can_answer(*TOKEN_CODES)(view))
    guarded: View = jwt_required()(documented)
    return guarded


def staff_only(view: View) -> View:
    """Decorator: the caller needs the access token of an account that is staff."""

    @wraps(view)
    def check(*args: Any, **kwargs: Any) -> Any:
        service.require_staff(user_id=current_user_id())
        return view(*args, **kwargs)

    checked: Callable[..., Any] = Blueprint.can_answer("staff_only")(check)
    return signed_in(checked)  # type: ignore[return-value]
