"""Is each request as fast as in another checkout, such as the release before? The two in turn,
each under its own gunicorn, on a database that it made and filled itself."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.data import fill
from benchmarks.databases import Databases
from benchmarks.load import REQUESTS, Reading, Request, Server, in_turn
from benchmarks.servers import APPLICATION, HERE, Checkout, ask, environment

LEGEND = (
    "Requests a second are those of the best round, as is the ratio, new to old; beside it the "
    "median of the rounds' own ratios."
)


def bench(
    before: Checkout,
    databases: Databases,
    folder: Path,
    rounds: int,
    seconds: int,
    lines: list[str],
) -> None:
    """Measure these lines of the table on one kind of database, and print them."""
    with ExitStack() as stack:
        filled = []
        for name, checkout in (("old", before), ("new", HERE)):
            environ = environment(databases.create(name))
            log = folder / f"fill_{name}.log"
            data = fill(checkout, environ, log, rounds=rounds, seconds=seconds)
            databases.settle(environ["DATABASE_URL"])
            filled.append((checkout, environ, data, folder / f"{name}.log"))
        servers = []
        for checkout, environ, data, log in filled:
            url = stack.enter_context(checkout.serve(APPLICATION, environ, log))
            servers.append(Server(url, environ["DATABASE_URL"], data))

        print(f"{'':22}{'old':>8}{'new':>8}{'ratio':>8}{'median':>8}", flush=True)
        for name in lines:
            pairs = [(server, _asked(server, REQUESTS[name])) for server in servers]
            rates = in_turn(pairs, databases, rounds, seconds)
            old, new = (max(column) for column in zip(*rates, strict=True))
            ratio = median(here / there for there, here in rates)
            print(f"{name:22}{old:8.0f}{new:8.0f}{new / old:8.2f}{ratio:8.2f}", flush=True)


def _asked(server: Server, request: Request) -> Request:
    """The same; where it is for a 304, with the ETag that this server has."""
    if isinstance(request, Reading) and request.statuses == "304":
        tag = ask(server.url + request.path_on(server.data)).headers["ETag"]
        return replace(request, asked=tag)
    return request
