# Two commands on a fresh clone: `make run` and `make test`. Needs git, python3 (3.11 or newer) and make.
PYTHON ?= python3
ARGS ?=
PY := .venv/bin/python
UV := .venv/bin/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate

.PHONY: run uvicorn otel audio voices test check transcript audit-deps bench chaos topology mutants lock clean deps dev-deps

run: deps
	@exec $(PY) manage.py studio

# Installs uvicorn, a web server for large audiences (docs/operations.md).
uvicorn:
	@$(PYTHON) bootstrap.py --uvicorn

# Installs OpenTelemetry and its exporter over HTTP, to send traces to a collector.
otel:
	@$(PYTHON) bootstrap.py --otel

# Installs speech: espeak-ng (GPL, run in a separate process) and an MP3 encoder.
audio:
	@$(PYTHON) bootstrap.py --audio

# Installs neural voices in addition: Piper (GPL, run in a separate process) with an English voice, 240 MB.
voices:
	@$(PYTHON) bootstrap.py --voices

# Runs four lanes in parallel, without tests marked `slow`: all on SQLite in two, the first followed by those marked `databases` on
# PostgreSQL; the end-to-end tests; and the browser tests.
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
	$(PY) -m tests.readability

# Plays the first minutes of the demo on a clock of its own and writes docs/demo-transcript.txt.
transcript: dev-deps
	TRANSCRIPT=write $(PY) -m pytest -q tests/broadcast/test_demo_transcript.py

# Looks for known vulnerabilities in the locked packages; asks the package index about each of them.
audit-deps: deps
	$(UV) tool run pip-audit==2.10.1 --require-hashes --disable-pip -r requirements-dev.txt $(ARGS)

bench: dev-deps
	@exec $(PY) -m tests.bench $(ARGS)

# Runs the tests marked `slow` and tests/chaos, simulates schedules, and kills processes while stories are
# narrated. `make chaos ARGS=slow` runs one part.
chaos: dev-deps
	@exec $(PY) -m tests.chaos $(ARGS)

# Starts the deployment of deploy/ on this machine, without containers, and tests it end to end.
topology: dev-deps
	@exec $(PY) -m tests.topology $(ARGS)

# Puts one error at a time into a copy of the code; its tests must fail. Part of a file name chooses:
# make mutants ARGS="background/steps"
mutants: dev-deps
	@exec $(PY) -m tests.mutants $(ARGS)

# Raises the pinned versions within requirements*.in: make lock ARGS=--upgrade
lock: dev-deps
	$(COMPILE) $(ARGS) requirements.in -o requirements.txt
	$(COMPILE) $(ARGS) -c requirements.txt requirements-uvicorn.in -o requirements-uvicorn.txt
	$(COMPILE) $(ARGS) -c requirements-uvicorn.txt requirements-otel.in -o requirements-otel.txt
	$(COMPILE) $(ARGS) -c requirements-otel.txt requirements-audio.in -o requirements-audio.txt
	$(COMPILE) $(ARGS) -c requirements-audio.txt requirements-voices.in -o requirements-voices.txt
	$(COMPILE) $(ARGS) -c requirements-audio.txt requirements-dev.in -o requirements-dev.txt

# Does not remove var/, which has the newsroom's data.
clean:
	rm -rf .venv .voices .pytest_cache .mypy_cache .ruff_cache .hypothesis staticfiles

deps:
	@$(PYTHON) bootstrap.py

dev-deps:
	@$(PYTHON) bootstrap.py --dev
