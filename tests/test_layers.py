"""Imports go down only, and the domain does not know HTTP."""

import ast
from pathlib import Path

import pytest

APP = Path(__file__).parent.parent / "booking_app"
# Packages from the bottom up; each imports from itself and from those before it.
ORDER = ("core", "audit", "auth", "catalog", "booking", "reports", "admin")
FEATURES = {name: place for place, name in enumerate(ORDER)}
# Which module of a feature may import which, from the bottom up; pure functions are at the bottom.
# Other files of a feature (catalog/loading.py) are of the service's layer.
PURE = {"seating": 0, "times": 0, "seat_picture": 0, "best_available": 0, "plan_text": 0, "plot": 0}
LAYERS = {"models": 0, **PURE, "service": 1, "schemas": 1, "access": 2}
LAYERS |= {"lists": 1, "tables": 2, "forms": 2, "views": 3, "sales": 4, "shows": 4, "routes": 5}
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


def layer(name: str) -> int:
    return LAYERS.get(name, LAYERS["service"])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(APP)))
def test_imports_go_down_only(path: Path) -> None:
    feature = path.parent.name
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "booking_app" or len(parts) < 3 or parts[1] not in FEATURES:
            continue
        if feature == "web":
            assert parts[1] == "core" or name.startswith("booking_app.audit.models"), name
            continue
        if feature not in FEATURES:
            assert path.name in ("__init__.py", "cli.py"), f"{path} lies below {name}"
            continue
        assert FEATURES[parts[1]] <= FEATURES[feature], f"{feature} imports {name}"
        if parts[1] == feature:
            assert layer(parts[2]) <= layer(path.stem), f"{path.stem} imports {name}"
        if path.stem == "schemas" and parts[1] != "core":
            assert layer(parts[2]) == 0 or parts[2] == "schemas", f"no queries here: {name}"
        if path.stem == "routes" and parts[2] == "models":
            pytest.fail(f"routes make no queries: {name}")


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in MODULES
        if path.parent.name in FEATURES
        and path.stem not in ("routes", "access", "tokens", "__init__")
        and (path.parent.name not in PAGES or path.stem in PURE)
    ],
    ids=lambda path: str(path.relative_to(APP)),
)
def test_the_domain_does_not_know_http(path: Path) -> None:
    for name in imports(path):
        if path != APP / "core" / "database.py" or name != "flask.Flask":  # what `db` is bound to
            assert name.split(".")[0] not in HTTP, f"{path} imports {name}"
        if path.stem != "schemas" or not name.startswith(WIRE):
            assert not name.startswith(WEB), f"{path} imports {name}"


def test_only_the_core_knows_the_dialects() -> None:
    for path in MODULES:
        text = path.read_text()
        if path.parent != APP / "core":
            assert "dialect" not in text, path
            assert "sqlite3" not in text, path
            assert "psycopg" not in text, path


def test_routes_never_write() -> None:
    for path in APP.rglob("routes.py"):
        assert "connection" not in path.read_text(), path
        assert "session" not in imports(path), path
