"""Names of libraries that begin with an underscore are not for us: they change with any release.

Allowed are those that a library's documentation tells its users to override or to call.
"""

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

import booking_app
from tests.serving import ROOT

DOCUMENTED = {
    "_serialize": "marshmallow, custom fields",
    "_deserialize": "marshmallow, custom fields",
    "_asdict": "Python's named tuples and SQLAlchemy's rows",
    "_mapping": "SQLAlchemy's rows",
}
OURS = ("booking_app", "benchmarks", "config", "migrations", "tests")
PLACES = ("booking_app", "benchmarks", "migrations", "config.py", "gunicorn.conf.py", "wsgi.py")
SOURCES = [
    path
    for place in PLACES
    for path in sorted((ROOT / place).rglob("*.py") if (ROOT / place).is_dir() else [ROOT / place])
]


def is_private(name: str) -> bool:
    return name.startswith("_") and name != "_" and not name.endswith("__")


def is_ours(module: str | None) -> bool:
    return (module or "").split(".")[0] in OURS


def foreign_names(source: str) -> Iterator[str]:
    """Each private name in a Python source that is not defined there, nor in a module of ours."""
    nodes = parsed(source)
    own = set(own_names(nodes))
    our_modules = {
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and is_ours(node.module)
        for alias in node.names
    }
    for node in nodes:
        match node:
            case ast.ImportFrom(module=module, names=names) if not is_ours(module):
                imported = [*(module or "").split("."), *(alias.name for alias in names)]
                yield from filter(is_private, imported)
            case ast.Import(names=names):
                yield from (
                    part
                    for alias in names
                    for part in alias.name.split(".")
                    if is_private(part) and not is_ours(alias.name)
                )
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name) if name in own:
                pass
            case ast.Attribute(value=ast.Name(id=module)) if module in our_modules:
                pass
            case ast.Attribute(attr=name) if is_private(name):
                yield name
            case ast.Call(
                func=ast.Name(id="getattr" | "setattr" | "hasattr" | "delattr"),
                args=[_, ast.Constant(value=str(name)), *_],
            ) if is_private(name):
                yield name


def parsed(source: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(source)))


def own_names(nodes: list[ast.AST]) -> Iterator[str]:
    """What the classes of a source define, and what they assign to themselves."""
    for node in nodes:
        match node:
            case ast.ClassDef(body=body):
                for one in body:
                    match one:
                        case ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                            yield name
                        case ast.Assign(targets=targets):
                            yield from (to.id for to in targets if isinstance(to, ast.Name))
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                yield name


def overridden(cls: type) -> Iterator[str]:
    """The private names of a class that it has from a library and defines anew."""
    foreign = {name for base in cls.__mro__ if not is_ours(base.__module__) for name in vars(base)}
    source = textwrap.dedent(inspect.getsource(cls))
    yield from sorted(foreign.intersection(filter(is_private, own_names(parsed(source)))))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_private_name_of_a_library_is_used(path: Path) -> None:
    assert set(foreign_names(path.read_text())) <= set(DOCUMENTED)


def test_no_private_name_of_a_library_is_overridden() -> None:
    found = set()
    for module in pkgutil.walk_packages(booking_app.__path__, "booking_app."):
        for cls in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(cls) and cls.__module__ == module.name:
                found |= {f"{cls.__qualname__}.{name}" for name in overridden(cls)}
    assert {name for name in found if name.split(".")[-1] not in DOCUMENTED} == set()
    assert "Money._serialize" in found


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("from library import _name", ["_name"]),
        ("from library._part import name", ["_part"]),
        ("import library._part as part", ["_part"]),
        ("thing._name", ["_name"]),
        ("call()._name()", ["_name"]),
        ("class A(B):\n def f(self): self._name()", ["_name"]),
        ("class A(B):\n def f(self): super()._name()", ["_name"]),
        ("getattr(view, '_name', None)", ["_name"]),
        ("class A:\n def f(self): self._name = 1\n def g(self): return self._name", []),
        ("class A:\n def _name(self): return self._name", []),
        ("class A:\n _name: int = 1\n def f(self): return self._name", []),
        ("from booking_app import part\npart._name", []),
        ("from booking_app.part import _name\n_name()", []),
        ("thing.__class__; for_all = [_ for _ in ()]", []),
    ],
)
def test_it_finds_each_way(source: str, names: list[str]) -> None:
    assert list(foreign_names(source)) == names


def test_it_finds_what_is_overridden() -> None:
    class Worker(Thread):
        def _bootstrap(self) -> None: ...

        def _mine(self) -> None: ...

    assert list(overridden(Worker)) == ["_bootstrap"]
