"""Where the calls are counted."""

import socket
from collections.abc import Callable
from functools import wraps

import pytest
from limits import RateLimitItemPerMinute

from booking_app.web import limits


def test_a_redis_that_is_away_is_not_asked_with_each_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        counters = limits.Counters(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        allowed = [
            counters.ask(lambda by: by.hit(RateLimitItemPerMinute(3), "caller")) for _ in range(5)
        ]
        assert allowed == [True] * 3 + [False] * 2
        silent.settimeout(5)
        silent.accept()[0].close()
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_of_several_rules_the_lowest_is_looked_at_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where another decorator stands between them, which must not be left out."""
    looked_at = []
    monkeypatch.setattr(limits, "_check", lambda name, key: looked_at.append(name))

    def between(view: Callable[[], str]) -> Callable[[], str]:
        return wraps(view)(lambda: f"({view()})")

    @limits.limited("log_in_name")
    @limits.limited("log_in_failures")
    @between
    @limits.limited("sign_up")
    @limits.limited("log_in")
    def view() -> str:
        return "answer"

    assert view() == "(answer)"
    assert looked_at == ["log_in_failures", "log_in_name", "log_in", "sign_up"]
