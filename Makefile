# Ember Stream. `make` alone lists the targets.
#
# A target that needs Python makes .venv first, with uv where there is one, else with venv and pip;
# a second call finds it done. PYTHON=python3.12 chooses another Python. stdout belongs to the
# command that is run: everything else is said on stderr.

.DEFAULT_GOAL := help
.SUFFIXES:
MAKEFLAGS += --no-print-directory

ARGS ?=
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
# A process for each core. Bytecode is kept, whatever the shell says: the tests start Python often.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal

.PHONY: help demo test test-all simulate prove check fix bench peers docs clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.ready-run  ## See it work: embedded broker, simulated fleet, faults (ARGS="--headless --seconds 60 --json")
	@$(BIN)/ember demo $(ARGS)

test: $(VENV)/.ready-test  ## Fast tests; what this machine lacks is skipped with the reason (ARGS="-k word")
	@$(PYTEST) -m "not kafka and not slow" $(ARGS)

test-all: $(VENV)/.ready-test  ## All tests, also slow ones and those on a real Kafka (needs Java 17 and Maven)
	@$(PYTEST) $(ARGS)

simulate: $(VENV)/.ready-test  ## Check the protocol in simulated clusters (ARGS="--schedules 1000 --seed 1")
	@$(BIN)/python -m tests.simulation $(ARGS)

prove: $(VENV)/.ready-test  ## A long proof (ARGS="series --seed 1"); without ARGS their claims
	@$(BIN)/python -m tests.prove $(ARGS)

check: $(VENV)/.ready-dev  ## Lint, formatting, types, import contracts, figures of the code; all of them, whatever fails
	@failed=; for tool in "ruff check ." "ruff format --check ." mypy lint-imports \
		"python -m checks language --worst 3" "python -m checks structure --worst 3"; do \
		echo "$$tool"; $(BIN)/$$tool || failed="$$failed, $$tool"; \
	done; test -z "$$failed" || { echo "Failed: $${failed#, }"; exit 1; }

fix: $(VENV)/.ready-dev  ## Mend what ruff can mend, and format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(VENV)/.ready-test  ## One benchmark (ARGS="throughput --json"); without ARGS their names
	@$(BIN)/python -m benchmarks $(ARGS)

peers:  ## An environment beside .venv with the peers of `throughput` that want other versions
	@if command -v uv >/dev/null; then uv venv -q --clear $(PEERS) && \
		uv pip install -q --python $(PEERS)/bin/python --group peers >&2; \
	else python3 -m venv --clear $(PEERS) && \
		$(PEERS)/bin/python -m pip install -q --upgrade pip && \
		$(PEERS)/bin/python -m pip install -q --group peers >&2; fi

docs: $(VENV)/.ready-docs  ## Write what is made from the code (pages, dashboards), and build the site into site/
	@$(BIN)/python docs/generate.py
	@$(BIN)/python deploy/grafana/generate.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

clean:  ## Remove .venv and caches
	rm -rf $(VENV) $(PEERS) site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# run: the package; docs: and what builds the site; test: what the tests need; dev: and the linters.
$(VENV)/.ready-%: pyproject.toml .ci/venv
	@PYTHON="$(PYTHON)" .ci/venv $*
