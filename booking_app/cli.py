"""The `flask` commands. They read, call a service and say what was done."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup, FlaskGroup, ScriptInfo, with_appcontext
from flask_migrate import Migrate, upgrade
from sqlalchemy.exc import DBAPIError

from booking_app.auth import accounts
from booking_app.booking.models import Booking
from booking_app.catalog import catalog_export, catalog_file, file_schemas, movies
from booking_app.catalog.file_report import Report, counted, in_words, lines
from booking_app.catalog.models import Show
from booking_app.core import backups, copies, schema
from booking_app.core.database import db, reading
from booking_app.core.database import init_app as init_database
from booking_app.core.errors import DomainError
from booking_app.core.outages import is_unavailable
from booking_app.core.schema import (
    MIGRATIONS,
    known_revisions,
    needed_revision,
    schema_problem,
)
from booking_app.core.snapshots import snapshot
from booking_app.core.sqlite_files import Contents, Refused
from booking_app.reports import integrity
from config import database_url

DEMO = "demo.json"
# What `backup` and `restore` say is in the file.
COUNTED = {"shows": Show, "bookings": Booking}


class Commands(AppGroup):
    """The application's commands. All but `restore` need a database that is sound."""

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name != restore.name:
            with ctx.ensure_object(ScriptInfo).load_app().app_context():
                backups.refuse_malformed()
        return super().get_command(ctx, name)


def is_finding_command() -> bool:
    """Whether `flask` makes the application to find one of `Commands`, which then decides about
    the database."""
    context = click.get_current_context(silent=True)
    return context is not None and isinstance(context.command, FlaskGroup)


@click.command("load-catalog")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--update", is_flag=True, help="Change what differs here to what the file says.")
@click.option("--dry-run", is_flag=True, help="Report the same, and write nothing.")
@click.option("--skip-conflicts", is_flag=True, help="Load what nothing is in the way of.")
@with_appcontext
def load_catalog(file: Path, update: bool, dry_run: bool, skip_conflicts: bool) -> None:
    """Add the cinemas, films and shows of a JSON FILE: all of it or nothing.

    What is there already is compared: differences are listed, and left as they are here. Ends with
    status 1 where something is in the way of an entry.
    """
    report = _load(
        file.read_bytes(),
        str(file),
        update=update,
        dry_run=dry_run,
        skip_conflicts=skip_conflicts,
    )
    said = lines(report, dry_run=dry_run, update=update, skip_conflicts=skip_conflicts)
    click.echo("\n".join(said))
    sys.exit(1 if report.obstacles else 0)


@click.command("export-catalog")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@with_appcontext
def export_catalog(file: Path) -> None:
    """Write the cinemas, halls, films and coming shows to a new FILE, for `load-catalog`.

    Bookings are not in it, nor are seats that the house keeps.
    """
    catalog = catalog_export.export_catalog(currency=current_app.config["CURRENCY"])
    text = catalog_export.written(catalog)
    try:
        opened = file.open("x", encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}.") from error
    try:
        with opened:
            opened.write(text)
    except OSError as error:
        file.unlink()  # a part of a catalogue is none
        raise click.ClickException(f"{file}: {error.strerror}.") from error
    click.echo(f"{file}: {in_words(counted(catalog))}.")


@click.command("load-demo")
@with_appcontext
def load_demo() -> None:
    """Load the demo catalogue if there is no film yet, or stock it for the coming week.

    Nothing is done where DEMO is off, or where a film is not of the demo catalogue: then the
    catalogue is the operator's own.
    """
    if not current_app.config["DEMO"]:
        click.echo("DEMO is off: no demo catalogue.")
    elif not catalog_file.may_load_demo():
        click.echo("The catalogue has films of its own: the demo catalogue is left out.")
    else:
        demo = files("booking_app.catalog").joinpath(DEMO).read_bytes()
        # What the house has changed is in the way of a show now and then, never of the start.
        report = _load(demo, DEMO, is_demo=True, skip_conflicts=True)
        left_out = f"; {len(report.obstacles)} left out" if report.obstacles else ""
        click.echo(f"{DEMO}: {in_words(report.counts)} added{left_out}.")


@click.command("create-superuser")
@click.option("--username", prompt=True)
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True)
@with_appcontext
def create_superuser(username: str, password: str) -> None:
    """Make a staff account. Asks for what is left out, the password without echo."""
    try:
        account = accounts.create_user(username=username, password=password, is_staff=True)
    except DomainError as error:
        raise click.ClickException(error.detail) from error
    click.echo(f"Made the staff account {account.username}.")


class NotChecked(click.ClickException):
    """The data could not be checked, or not all of it."""

    exit_code = 2


@click.command("check-integrity")
@with_appcontext
def check_integrity() -> None:
    """Check that seats, bookings, totals and reports agree; also while seats are being sold.

    Prints each disagreement on a line of its own. Ends with status 0 where all agree, 1 where
    they don't, and 2 where the data could not be checked.
    """
    counts = integrity.Counts()
    try:
        wrong = _echo_disagreements(counts)
    except integrity.WrongSchema as error:
        raise NotChecked(str(error)) from error
    except Exception as error:
        if not (is_unavailable(error) or isinstance(error, DBAPIError)):
            raise
        what = "can't be used" if is_unavailable(error) else "can't be read"
        raise NotChecked(
            f"The database {what}, so not all was checked: {_reason(error)}"
        ) from error
    click.echo(_verdict(counts, wrong))
    sys.exit(1 if wrong else 0)


def _echo_disagreements(counts: integrity.Counts) -> int:
    """Print each disagreement in the database; give their number."""
    wrong = 0
    for line in chain(
        integrity.schema_disagreements(known_revisions()), integrity.disagreements(counts)
    ):
        wrong += 1
        click.echo(line)
    return wrong


def _verdict(counts: integrity.Counts, wrong: int) -> str:
    verdict = f"{wrong:,} disagreement{'s' * (wrong > 1)}" if wrong else "all agree"
    return (
        f"checked {counts.shows:,} shows, {counts.seats:,} seats, {counts.bookings:,} bookings: "
        f"{verdict}."
    )


def _reason(error: Exception) -> str:
    """What the database said, in one line."""
    return " ".join(str(getattr(error, "orig", error)).split())


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@with_appcontext
def backup(file: Path) -> None:
    """Copy the SQLite database to a new FILE, also while servers sell, and verify the copy."""
    try:
        contents = backups.backup(file, counted=COUNTED)
    except Refused as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{file}: {_describe(contents)}; verified.")


@click.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_appcontext
def restore(file: Path) -> None:
    """Put the backup FILE in place of the SQLite database, which is kept beside it.

    Refused while a server runs, and where FILE is malformed or of a later release.
    """
    try:
        contents, kept = backups.restore(file, counted=COUNTED)
    except Refused as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Restored {file}: {_describe(contents)}.")
    if kept is not None:
        click.echo(f"The database before it is kept as {kept}.")
    if contents.revision != needed_revision():
        click.echo("Its schema is of an earlier release: run `flask db upgrade` before you serve.")


@click.command("copy-database")
@click.argument("url")
@with_appcontext
def copy_database(url: str) -> None:
    """Copy all that is in the database into the empty one at URL, and verify the copy.

    From SQLite to PostgreSQL, back, or between two of a kind. The database at URL gets its tables
    here. What servers write after the start is not copied: stop them first.
    """
    rows = 0

    def copied(table: str, number: int) -> None:
        nonlocal rows
        rows += number
        click.echo(f"{table}: {number:,} row{'s' * (number != 1)}")

    try:
        with snapshot() as source, bound_to(url):
            copies.refuse_source(source, release=current_app.config["API_VERSION"])
            copies.prepare_target(source)
            upgrade(str(MIGRATIONS.parent))
            copies.fill(source=source, copied=copied)
        click.echo(f"Copied {rows:,} rows, and compared each with its copy.")
        counts = integrity.Counts()
        with bound_to(url):
            wrong = _echo_disagreements(counts)
    except copies.NotCopied as error:
        raise click.ClickException(f"{error}. Nothing was copied.") from error
    except Refused as error:
        raise click.ClickException(str(error).replace("DATABASE_URL", "URL")) from error
    except Exception as error:
        if not (is_unavailable(error) or isinstance(error, DBAPIError)):
            raise
        raise click.ClickException(f"Not finished: {_reason(error)}") from error
    click.echo(_verdict(counts, wrong))
    if wrong:
        raise click.ClickException(
            "The copy is complete; what it was made of has these disagreements too."
        )


@contextmanager
def bound_to(url: str) -> Iterator[None]:
    """Make another database the present one: that of an application that has nothing else."""
    app = Flask(current_app.import_name, instance_path=current_app.instance_path)
    try:
        app.config.update(current_app.config, DATABASE_URL=database_url(url))
    except ValueError as error:
        raise click.ClickException(f"URL is not allowed; allowed: {error}") from error
    init_database(app)
    Migrate(app, db)
    with app.app_context():
        try:
            yield
        finally:
            db.engine.dispose()


@click.command("finish-upgrade")
@with_appcontext
def finish_upgrade() -> None:
    """Say that no server of an earlier release is left: what those can't read may be written, and
    films that they added or renamed are sorted and found like the others."""
    release = current_app.config["API_VERSION"]
    with reading() as connection:
        problem = schema_problem(connection, release=release)
    if problem:
        raise click.ClickException(problem)
    schema.finish_upgrade(release=release)
    movies.renew_keys()
    click.echo(f"Release {release} and later ones may serve the database; earlier ones must not.")


def _describe(contents: Contents) -> str:
    rows = ", ".join(f"{count} {name}" for name, count in contents.rows.items())
    return f"{contents.size / 1_000_000:.1f} MB, schema {contents.revision}, {rows}"


def _load(content: bytes, name: str, **options: Any) -> Report:
    """Load a catalogue file, or end with one line that says what can't be read in it."""
    try:
        catalog = file_schemas.read(content)
    except file_schemas.Unreadable as error:
        wrong = str(error).rstrip(".")
        raise click.ClickException(f"{name}: {wrong}. Nothing was loaded.") from error
    house = {name: current_app.config[name.upper()] for name in ("timezone", "currency")}
    return catalog_file.load_catalog(**catalog, **house, **options)


def init_app(app: Flask) -> None:
    """Give the application its commands, and `flask db`."""
    app.cli = Commands(app.name)
    Migrate(app, db)
    for command in (
        load_catalog,
        export_catalog,
        load_demo,
        create_superuser,
        check_integrity,
        backup,
        copy_database,
        finish_upgrade,
        restore,
    ):
        app.cli.add_command(command)
