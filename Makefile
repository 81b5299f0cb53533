# Everything that is done to this tree by hand or by CI. Bare `make` lists it.

VENV := .venv
PYTHON_RUN := $(VENV)/bin/python
PYTEST := $(PYTHON_RUN) -m pytest
STAMP := $(VENV)/.complete
PACKAGES := edge sync devices workflows

# Debian keeps the broker where only root looks.
export PATH := $(PATH):/usr/sbin:/sbin

# Two workers: the smallest machine this has to pass on has two cores. Tests of one group, which
# would be in each other's way, stay in one of them.
WORKERS ?= 2
SHARED := -n $(WORKERS) --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help setup lint check quick test simulate demo bench soak package format pin clean

help: ## list the targets
	@echo "Baton. Targets:"
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with everything pinned; leaves .venv/bin/baton
	@:

$(STAMP): pyproject.toml packaging/requirements/test.txt packaging/requirements/headless.txt \
          packaging/setup/venv.sh packaging/setup/find-python.sh packaging/setup/debian-packages.sh
	@packaging/setup/venv.sh
	@touch $@

lint: setup
	$(PYTHON_RUN) -m ruff format --check .
	$(PYTHON_RUN) -m ruff check .
	$(VENV)/bin/lint-imports --no-logo
	$(PYTHON_RUN) -m interrogate --quiet $(PACKAGES)
	$(PYTHON_RUN) -m interrogate --quiet --fail-under 100 --whitelist-regex '^test_' tests
	$(PYTHON_RUN) -m mypy

check: lint ## formatting, lint, types, layers, docstrings, tidiness: what every commit passes
	$(PYTEST) -q tests/tidiness

quick: setup ## under three minutes: formatting, lint, layers, tidiness, unit tests
	$(PYTHON_RUN) -m ruff format --check .
	$(PYTHON_RUN) -m ruff check .
	$(VENV)/bin/lint-imports --no-logo
	$(PYTEST) -q $(SHARED) tests/tidiness tests/unit

# The tests run even when a check has failed: a red build says all that is wrong with it.
# Coverage is judged by pytest itself, so that its summary stays the last word.
test: setup ## everything: set-up, Debian packages tests want, checks, all tests with coverage
	@packaging/setup/test-packages.sh
	@packaging/setup/js-packages.sh
	@status=0; \
	$(MAKE) --no-print-directory lint || status=1; \
	$(PYTEST) $(SHARED) --cov --cov-report=term:skip-covered || status=$$?; \
	exit $$status

simulate: setup ## one world of the simulation: make simulate SEED=17; more with ARGS=--help
	@$(PYTHON_RUN) -m tests.simulation $(if $(SEED),--seed $(SEED),) $(ARGS)

# SECONDS counts only when it is given to make itself: shells have a variable of that name.
demo: setup ## camera, workflow, control plane in a browser; SECONDS=45 runs unattended
	@$(PYTHON_RUN) -m edge.demo $(if $(filter command,$(origin SECONDS)),--seconds $(SECONDS))

bench: setup ## measure Baton beside its peers; ARGS=--help tells how, ARGS="--only forks" a part
	@$(PYTHON_RUN) -m tests.bench $(ARGS)

# What was stopped goes on where it was; SEEDS=A..B, SCHEDULES=A..B and IMAGES=N ask for
# others, or more.
IMAGES ?= 1000000
SEEDS ?= 0..99999
SCHEDULES ?= 0..999
soak: setup ## a million power cuts, 100,000 worlds and the rest: hours; may be stopped and goes on
	@mkdir -p .soak
	$(PYTHON_RUN) -m tests.power --images $(IMAGES) --resume .soak/power --jobs $(WORKERS)
	$(PYTHON_RUN) -m tests.simulation --seeds $(SEEDS) --resume .soak/worlds --jobs $(WORKERS)
	$(PYTHON_RUN) -m tests.schedules --seeds $(SCHEDULES) --resume .soak/schedules --jobs $(WORKERS)
	$(PYTEST) -m soak --timeout 0 tests/integration

package: setup ## wheel, sdist and, where dpkg-deb exists, a Debian package, into dist/
	$(PYTHON_RUN) -m build --no-isolation --outdir dist .
	@if command -v dpkg-deb >/dev/null; then packaging/debian/build.sh dist; \
	else echo "No dpkg-deb here: no Debian package was made."; fi

format: setup ## let ruff format and repair what it can
	$(PYTHON_RUN) -m ruff format .
	$(PYTHON_RUN) -m ruff check --fix .

pin: ## write the pinned requirements anew (needs uv)
	packaging/setup/pin.sh

clean: ## remove what was built, not the environment
	rm -rf dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
