# Two commands matter: `make run` and `make test`. Both install what they need into .venv/.

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP := $(PYTHON) -m pip --disable-pip-version-check --no-input --quiet
# DEMO=no starts with an empty house, DEMO=yes asks for the demo company; empty: the demo on the first start.
DEMO ?=
# Eight processes start at once: none of them has to read the same thousand sources anew.
export PYTHONDONTWRITEBYTECODE :=
TESTS ?=
LEADS ?= 20000
# How many answers fall due at once in the bench; empty: as many as it has leads, 50,000 at most.
DUE ?=

.PHONY: run install test lint types imports migrations browser redis faults bench bench-sizes figures screens clean

run: $(VENV)/run.stamp
	@exec $(PYTHON) manage.py up $(if $(filter no,$(DEMO)),--no-demo)$(if $(filter yes,$(DEMO)),--demo)

install: $(VENV)/dev.stamp

test: install browser redis
	@exec $(PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=12 $(TESTS)

lint: install
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -c "from importlinter.cli import lint_imports_command as lint; lint()"
	$(PYTHON) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

# A Chromium for the browser tests: the system's, else Debian's package when root, else Playwright's own.
browser: install
	@$(PYTHON) -m tests.chromium

# With CI=true the broker tests run on Debian's Redis too.
redis: install
	@if [ "$$CI" = true ] && ! command -v redis-server >/dev/null; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server; \
	  else echo "CI=true needs redis-server, and only root can install it." >&2; exit 1; fi; fi

# Web, workers, beat, broker and database are killed at random while 2,000 leads come in; takes half an hour.
faults: install
	@FAULTS_LEADS=2000 exec $(PYTHON) -m pytest -q -s -p no:xdist tests/house/test_faults.py

bench: install
	@exec $(PYTHON) bench/run.py --leads $(LEADS) $(if $(DUE),--due $(DUE))

bench-sizes: install
	@exec $(PYTHON) -m bench.scaling --leads $(LEADS)

# Both, and their tables into docs/performance.md.
figures: install
	$(PYTHON) bench/run.py --leads $(LEADS)
	$(PYTHON) -m bench.scaling --leads $$(( $(LEADS) / 5 ))
	$(PYTHON) -m bench.figures

screens: install browser
	@exec $(PYTHON) docs/screens/make.py $(BASE_URL)

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis staticfiles
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@set -e; for name in python3 python3.13 python3.12 python3.11; do \
	  if command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; then \
	    rm -rf $(VENV); $$name -m venv $(VENV) || { \
	      rm -rf $(VENV); echo "$$name has no venv: install it (Debian: apt install python3-venv)." >&2; exit 1; }; \
	    exit 0; fi; done; \
	echo "LeadFlow needs Python 3.11, 3.12 or 3.13 on the PATH." >&2; exit 1

$(VENV)/run.stamp: requirements.lock | $(VENV)/bin/python
	@echo "Installing LeadFlow's parts into $(VENV) (first start only) …"
	@$(PIP) install --no-compile --require-hashes -r requirements.lock
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock requirements.lock | $(VENV)/bin/python
	@echo "Installing LeadFlow's parts and the tools for its tests into $(VENV) …"
	@$(PIP) install --no-compile --require-hashes -r requirements-dev.lock
	@touch $(VENV)/run.stamp $@
