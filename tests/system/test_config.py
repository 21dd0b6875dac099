"""The settings: defaults, what is allowed, and the one line that stops the start."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import config
from tests.conftest import ROOT

KEY = "s" * 32


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "instance"
    monkeypatch.setattr(config, "INSTANCE", folder)
    return folder


def test_every_setting_has_a_default_that_is_allowed(instance: Path) -> None:
    settings = config.load({})
    assert set(settings) == {setting.name for setting in config.SETTINGS}
    assert settings["MAX_SEATS_PER_BOOKING"] == 10
    assert (settings["TIMEZONE"], settings["CURRENCY"]) == ("UTC", "EUR")
    assert config.load({setting.name: " " for setting in config.SETTINGS}) == settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://root@localhost/x"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "postgresql+asyncpg://x/y"),
        ("SECRET_KEY", "short-secret"),
        ("PORT", "0"),
        ("PORT", "70000"),
        ("PORT", "80a"),
        ("PORT", "٨٠"),
        ("HOST", "a b"),
        ("WEB_CONCURRENCY", "0"),
        ("WEB_THREADS", "-1"),
        ("DEMO", "yes"),
        ("TIMEZONE", "Mars/Olympus"),
        ("TIMEZONE", "Europe"),
        ("TIMEZONE", "../etc/passwd"),
        ("CURRENCY", "euro"),
        ("MAX_SEATS_PER_BOOKING", "101"),
        ("CANCEL_CUTOFF_MINUTES", "1.5"),
        ("ACCESS_TOKEN_MINUTES", "0"),
        ("REFRESH_TOKEN_DAYS", "x"),
        ("SECRET_KEY_PREVIOUS", "short-secret"),
        ("TRUSTED_PROXIES", "-1"),
        ("TRUSTED_PROXIES", "all"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://[::1]:8443"),
        ("CORS_ORIGINS", "https://.*"),
        ("CORS_ORIGINS", "shop.example.org"),
        ("CORS_ORIGINS", "https://shop.example.org/"),
        ("CORS_ORIGINS", "https://a.example, null"),
        ("RATELIMIT_ENABLED", "yes"),
        ("REDIS_URL", "http://127.0.0.1:6379"),
        ("REDIS_URL", "redis://:my password@127.0.0.1"),
        ("ACCESS_LOG", "2"),
    ],
)
def test_a_wrong_value_is_told_in_one_line(instance: Path, name: str, value: str) -> None:
    with pytest.raises(config.InvalidSetting) as refused:
        config.load({"SECRET_KEY": KEY} | {name: value})
    line = str(refused.value)
    assert line.startswith(f"{name}: ")
    assert "allowed: " in line
    assert "\n" not in line
    secret = next(setting.secret for setting in config.SETTINGS if setting.name == name)
    assert (repr(value) in line) != secret


@pytest.mark.parametrize(
    ("value", "on"), [("1", True), ("ON", True), ("true", True), ("0", False), ("False", False)]
)
def test_switches(instance: Path, value: str, on: bool) -> None:
    assert config.load({"DEMO": value})["DEMO"] is on


def test_origins_are_read_one_by_one(instance: Path) -> None:
    text = " https://Shop.example.org,http://localhost:3000 ,,"
    assert config.load({"CORS_ORIGINS": text})["CORS_ORIGINS"] == (
        "https://shop.example.org",
        "http://localhost:3000",
    )


def test_no_secret_has_a_value_of_its_own(instance: Path) -> None:
    secret = [setting for setting in config.SETTINGS if setting.secret]
    assert len(secret) >= 4
    for setting in secret:
        assert setting.default == "" or setting.default.startswith("sqlite:///")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_psycopg_driver_is_chosen_for_the_caller(instance: Path, scheme: str) -> None:
    url = config.load({"DATABASE_URL": f"{scheme}://u:p%40ss@h:5/d?host=%2Ftmp"})["DATABASE_URL"]
    assert url == "postgresql+psycopg://u:p%40ss@h:5/d?host=%2Ftmp"


@pytest.mark.parametrize(
    "url", ["postgresql://127.0.0.1:1/none", "sqlite:////no/such/folder/booking.db"]
)
def test_a_database_that_cannot_be_reached_is_told_in_one_line(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"],
        cwd=ROOT,
        env=os.environ | {"SECRET_KEY": KEY, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("DATABASE_URL: the database can't be reached: ")
    assert not Path("/no").exists()


def test_a_secret_key_is_made_once_for_all_processes(instance: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: config.load({})["SECRET_KEY"], range(8)))
    assert len(keys) == 1
    assert len(keys.pop()) >= 32
    path = instance / "secret_key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in instance.iterdir()] == ["secret_key"]
    path.write_text("short")
    with pytest.raises(config.InvalidSetting, match="SECRET_KEY"):
        config.load({})


@pytest.mark.parametrize(
    "command", [["flask", "routes"], ["gunicorn", "wsgi:app"], ["flask", "db", "upgrade"]]
)
def test_the_start_stops_with_just_that_line(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=os.environ | {"SECRET_KEY": "my-short-secret"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    lines = done.stderr.strip().splitlines()
    assert lines == ["SECRET_KEY: its value is not allowed; allowed: at least 32 bytes"]


@pytest.mark.parametrize(("switch", "lines"), [("on", 1), ("off", 0)])
def test_gunicorn_writes_that_line_unless_it_is_off(switch: str, lines: int) -> None:
    """What gunicorn.conf.py sets up, without a server."""
    script = (
        "import runpy, logging; runpy.run_path('gunicorn.conf.py');"
        "logging.getLogger('booking_app.access').info('a line')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"SECRET_KEY": "k" * 40, "ACCESS_LOG": switch, "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(done.stderr.splitlines()) == lines
