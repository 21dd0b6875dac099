"""Is each endpoint as fast as in another checkout, such as the release before? The two in turn,
each under its own gunicorn, on a database that it made and filled itself."""

from contextlib import ExitStack
from pathlib import Path

from benchmarks.data import fill
from benchmarks.databases import Databases
from benchmarks.load import ENDPOINTS, Server, in_turn
from benchmarks.servers import APPLICATION, HERE, Checkout, environment

LEGEND = "Requests a second are those of the best round; the ratio is new to old."


def bench(before: Checkout, databases: Databases, folder: Path, rounds: int, seconds: int) -> None:
    """Measure every endpoint on one kind of database and print its table."""
    with ExitStack() as stack:
        filled = []
        for name, checkout in (("old", before), ("new", HERE)):
            environ = environment(databases.create(name))
            log = folder / f"fill_{name}.log"
            data = fill(checkout, environ, log, rounds=rounds, seconds=seconds)
            filled.append((checkout, environ, data, folder / f"{name}.log"))
        servers = []
        for checkout, environ, data, log in filled:
            url = stack.enter_context(checkout.serve(APPLICATION, environ, log))
            servers.append(Server(url, environ["DATABASE_URL"], data))

        print(f"{'':20}{'old':>8}{'new':>8}   ratio", flush=True)
        for endpoint in ENDPOINTS:
            rates = in_turn(servers, endpoint, databases, rounds, seconds)
            old, new = (max(column) for column in zip(*rates, strict=True))
            print(f"{endpoint.name:20}{old:8.0f}{new:8.0f}   {new / old:.2f}", flush=True)
