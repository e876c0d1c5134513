# Everything runs in .venv, which each target makes when it is missing or out of date.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
BIN := .venv/bin
FAST := not slow and not label_studio and not browser and not postgres

.PHONY: check test test-fast test-label-studio lint audit format env system demo up bench chaos

check: lint test

env: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and none was found on PATH: install it, or run make PYTHON=/path/to/python"; exit 1; }
	@echo "Installing into .venv (a few minutes the first time) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[local,postgres,dev]'
	@touch $@

system:
	@scripts/system-packages.sh

test: env system
	$(BIN)/python -m pytest -n auto --cov --cov-report= --cov-fail-under=80

test-fast: env
	$(BIN)/python -m pytest -n auto -m "$(FAST)"

# The tests of what talks to Label Studio, with another version of it, in an environment of its own.
LABEL_STUDIO_VERSION ?= 1.22.0
LABEL_STUDIOS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/hero-label-studio
OTHER := $(LABEL_STUDIOS)/$(LABEL_STUDIO_VERSION)
test-label-studio: env system $(OTHER)/bin/label-studio
	HERO_TEST_LABEL_STUDIO=$(OTHER) $(BIN)/python -m pytest $(or $(TESTS),tests/e2e/gateway \
	  tests/e2e/test_label_studio_fixture.py tests/e2e/test_service_circle.py tests/e2e/test_exchange.py \
	  tests/e2e/test_browser_labelling.py tests/e2e/test_browser_gallery.py tests/e2e/test_behind_nginx.py)

$(OTHER)/bin/label-studio:
	@$(PYTHON) -m venv $(OTHER)
	@$(OTHER)/bin/pip install --quiet --disable-pip-version-check label-studio==$(LABEL_STUDIO_VERSION)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml backend hero_engine tinyworld
	-@scripts/audit.sh

audit: env
	@scripts/audit.sh

format: env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demo: env
	@$(BIN)/hero demo $(DEMO)

up: env
	@$(BIN)/hero up

bench: env
	$(BIN)/python -m benchmarks.tiny --seeds 1,2,3
	$(BIN)/python -m benchmarks.speed

chaos: env system
	$(BIN)/python -m tests.chaos $(CHAOS)
