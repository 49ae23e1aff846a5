# Two commands on a fresh clone: `make run` and `make test`. Needs git, python3 (3.11 or newer) and make.
PYTHON ?= python3
ARGS ?=
PY := .venv/bin/python
UV := .venv/bin/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate

.PHONY: run otel audio test check bench chaos lock clean deps dev-deps

run: deps
	@exec $(PY) manage.py studio

# Traces for a collector: OpenTelemetry and its exporter over HTTP.
otel:
	@$(PYTHON) bootstrap.py --otel

# Speech for the audience: espeak-ng (GPL, in a process of its own) and an encoder for MP3.
audio:
	@$(PYTHON) bootstrap.py --audio

# Three lanes side by side: everything on SQLite; end-to-end tests; what is marked `databases` on
# PostgreSQL and then the browser.
test: dev-deps
	@exec $(PY) -m tests.lanes $(ARGS)

check: dev-deps
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy .
	$(PY) manage.py check
	$(PY) manage.py makemigrations --check --dry-run
	$(PY) -m djlint --lint --quiet templates
	$(PY) -m tests.template_lines

bench: dev-deps
	@exec $(PY) -m tests.bench $(ARGS)

chaos: dev-deps
	@exec $(PY) -m pytest tests/chaos $(ARGS)

# Raises the pinned versions within requirements*.in: make lock ARGS=--upgrade
lock: dev-deps
	$(COMPILE) $(ARGS) requirements.in -o requirements.txt
	$(COMPILE) $(ARGS) -c requirements.txt requirements-otel.in -o requirements-otel.txt
	$(COMPILE) $(ARGS) -c requirements-otel.txt requirements-audio.in -o requirements-audio.txt
	$(COMPILE) $(ARGS) -c requirements-audio.txt requirements-dev.in -o requirements-dev.txt

# Leaves var/, where the newsroom's data is.
clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis staticfiles

deps:
	@$(PYTHON) bootstrap.py

dev-deps:
	@$(PYTHON) bootstrap.py --dev
