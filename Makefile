# make run    serve on http://HOST:PORT (127.0.0.1:8000)
# make test   linters and the whole test suite, on SQLite and PostgreSQL
# make bench  the endpoints against a floor (needs wrk)

PYTHON ?= python3
BIN := .venv/bin
export FLASK_APP := wsgi.py

.PHONY: run test bench lint clean

# Installed again only when a requirement file has changed.
.venv/run: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/test: .venv/run tests/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@

run: .venv/run
	@$(BIN)/flask db upgrade
	@$(BIN)/flask load-demo
	@exec $(BIN)/gunicorn wsgi:app

lint: .venv/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n auto

bench: .venv/test
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
