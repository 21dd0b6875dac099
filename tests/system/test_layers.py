"""Imports go down only, and the domain does not know HTTP."""

import ast
from pathlib import Path

import pytest

from tests.serving import ROOT

APP = ROOT / "booking_app"
# The packages from the bottom up, each imports from itself and from those before it, and their
# modules from the bottom up: those of one group don't import each other.
ORDER: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    (
        "core",
        (
            ("errors", "formats", "outages", "poolers", "sqlite_files", "statements"),
            ("editions", "engines"),
            ("database",),
            ("exports", "paging", "schema", "search", "snapshots", "violations"),
            ("backups", "copies"),
        ),
    ),
    ("audit", (("models",), ("service",))),
    (
        "auth",
        (
            ("models", "tokens"),
            ("passwords", "schemas", "usernames"),
            ("accounts",),
            ("sessions",),
            ("access", "own_account", "refreshes"),
            ("routes",),
        ),
    ),
    ("idempotency", (("models",), ("service",), ("retriable",))),
    (
        "catalog",
        (
            ("times", "title_keys"),
            ("models",),
            ("neighbours", "seat_marks"),
            ("seat_plans",),
            ("seat_map",),
            (
                "cinema_schemas",
                "examples",
                "kept_plans",
                "schemas",
                "screen_locks",
                "seat_picture",
                "show_rules",
                "venue_schemas",
            ),
            ("file_report", "file_schemas", "many_schemas", "seat_schemas"),
            ("file_entries",),
            ("file_differences",),
            ("blocked_seats", "cinema_clocks", "currencies"),
            ("plan_changes", "screen_plans"),
            ("venue_rows",),
            ("venues",),
            ("movies",),
            ("show_queries",),
            ("shows",),
            ("many_shows",),
            ("week_copies",),
            ("file_writes",),
            ("file_places",),
            ("file_shows",),
            ("catalog_export", "catalog_file"),
            ("routes", "venue_routes"),
        ),
    ),
    (
        "booking",
        (
            ("models", "policy", "references", "seat_choice"),
            ("searches",),
            ("queries", "schemas", "seat_parties"),
            ("caps", "locks", "seats"),
            ("expectations",),
            ("receipts",),
            ("at_once",),
            ("service",),
            ("routes",),
        ),
    ),
    ("reports", (("service",), ("integrity", "schemas"), ("routes",))),
    (
        "admin",
        (
            ("access", "amounts", "lists", "plan_tokens", "plot", "room"),
            ("plan_text",),
            ("form_fields",),
            ("forms", "tables"),
            ("views",),
            ("catalog_file", "catalogue", "many_shows", "sales", "shows"),
            ("routes",),
        ),
    ),
)
PACKAGES = {name: place for place, (name, _) in enumerate(ORDER)}
PLACES = {
    (package, module): place
    for package, groups in ORDER
    for place, group in enumerate(groups)
    for module in group
}
PURE = {
    "amounts",
    "file_differences",
    "file_entries",
    "file_report",
    "neighbours",
    "plan_text",
    "plan_tokens",
    "plot",
    "references",
    "room",
    "seat_choice",
    "seat_map",
    "seat_marks",
    "seat_parties",
    "seat_picture",
    "seat_plans",
    "times",
    "title_keys",
}
# Of a feature that is all pages, only the pure functions know nothing of HTTP.
PAGES = ("admin",)
HTTP = ("flask", "flask_smorest", "flask_jwt_extended", "werkzeug", "webargs")
WEB = "booking_app.web."
# All of `web` that the schemas may know; nothing else of a domain knows any of it.
WIRE = ("booking_app.web.fields", "booking_app.web.paging")
MODULES = sorted(APP.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Every module imported anywhere in the file, as `package.module` or `package.module.name`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(APP)))
def test_imports_go_down_only(path: Path) -> None:
    package, module = path.parent.name, path.stem
    if package in PACKAGES and module != "__init__":
        assert (package, module) in PLACES, f"{path} has no place in ORDER"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "booking_app" or len(parts) < 3 or parts[1] not in PACKAGES:
            continue
        if package == "web":
            assert parts[1] == "core" or name.startswith("booking_app.audit.models"), name
            continue
        if package not in PACKAGES:
            assert path.name in ("__init__.py", "cli.py"), f"{path} lies below {name}"
            continue
        assert PACKAGES[parts[1]] <= PACKAGES[package], f"{package} imports {name}"
        imported = (parts[1], parts[2])
        if parts[1] == package and imported in PLACES:
            assert PLACES[imported] < PLACES[package, module], f"{module} imports {name}"
        if module.endswith("schemas") and parts[1] != "core":
            named = parts[2].endswith("schemas") or parts[2] in {"models", *PURE}
            assert named, f"no queries here: {name}"
        if module.endswith("routes") and parts[2] == "models":
            pytest.fail(f"routes make no queries: {name}")


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in MODULES
        if path.parent.name in PACKAGES
        and path.stem not in ("access", "tokens", "retriable", "__init__")
        and not path.stem.endswith("routes")
        and (path.parent.name not in PAGES or path.stem in PURE)
    ],
    ids=lambda path: str(path.relative_to(APP)),
)
def test_the_domain_does_not_know_http(path: Path) -> None:
    for name in imports(path):
        if path != APP / "core" / "database.py" or name != "flask.Flask":  # what `db` is bound to
            assert name.split(".")[0] not in HTTP, f"{path} imports {name}"
        if not path.stem.endswith("schemas") or not name.startswith(WIRE):
            assert not name.startswith(WEB), f"{path} imports {name}"


def test_only_the_core_knows_the_dialects() -> None:
    for path in MODULES:
        text = path.read_text()
        if path.parent != APP / "core":
            assert "dialect" not in text, path
            assert "sqlite3" not in text, path
            assert "psycopg" not in text, path


def test_routes_never_write() -> None:
    for path in APP.rglob("*routes.py"):
        assert "connection" not in path.read_text(), path
        assert "session" not in imports(path), path
