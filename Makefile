# Needs Python 3.11, 3.12 or 3.13 and make, nothing else. `make` alone prints the targets.

VENV ?= .venv
BIN := $(VENV)/bin
# The checkout's own packages, also where an environment is shared by several checkouts.
export PYTHONPATH := $(CURDIR)/plugins:$(CURDIR)

.DEFAULT_GOAL := help
.PHONY: help run backfill test check test-clients docs bench fmt lock clean install install-dev
MAKEFLAGS += --no-print-directory

##@ See it work

run: install ## A simulated market and a real Airflow, a day in minutes; Ctrl-C ends it (ONCE=1: by itself; SLOTS=3: shorter)
	@$(BIN)/python -m tools.demo $(if $(filter-out 0,$(ONCE)),--once) $(if $(SLOTS),--slots $(SLOTS))

backfill: ## Make good what was missed and say what changed: FROM=2025-11-24 TO=2025-11-28 [DAG=…] [REPROCESS=none|failed|completed] [DRY_RUN=1]
	@$(BIN)/python -m tools.backfill --from "$(FROM)" --to "$(or $(TO),$(FROM))" $(if $(DAG),--dag "$(DAG)") \
	  $(if $(REPROCESS),--reprocess "$(REPROCESS)") $(if $(filter-out 0,$(DRY_RUN)),--dry-run)

##@ Change it

# Much of the suite is waiting: for a simulated gateway, for Airflow to start.
WORKERS ?= 2

test: install-dev ## Everything that must be green: the checks, the other clients, all tests
	@$(MAKE) check
	@$(MAKE) test-clients ARGS=
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: install-dev ## ruff, mypy, import contracts, generated documents current
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@for tool in tools/generate_*.py; do $(BIN)/python $$tool --check || exit 1; done

test-clients: install-dev ## The simulated gateway against ib_async and ibapi too, each in an environment of its own
	@$(BIN)/python tools/test_clients/run.py $(ARGS)

docs: install-dev ## Write the generated documents anew
	@for tool in tools/generate_*.py; do $(BIN)/python $$tool || exit 1; done

bench: install-dev ## Run every benchmark; each prints one ratio measured in one run, and keeps it in benchmarks/results
	@missed=0; for bench in benchmarks/bench_*.py; do $(BIN)/python $$bench || missed=1; done; exit $$missed

fmt: install-dev ## Format the code and fix what can be fixed
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

##@ House keeping

install: ## Make the environment and install requirements.txt (done by run)
	@tools/install.sh run $(VENV)

install-dev: ## Make the environment and install requirements-dev.txt (done by test and check)
	@tools/install.sh dev $(VENV)

lock: install ## Resolve the dependencies of pyproject.toml anew into requirements.txt and requirements-dev.txt
	@$(BIN)/uv pip compile $(LOCK_FLAGS) pyproject.toml -o requirements.txt
	@$(BIN)/uv pip compile $(LOCK_FLAGS) --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt

LOCK_FLAGS := --quiet --universal --python-version 3.11 --no-annotate --no-header $(if $(UPGRADE),--upgrade)

clean: ## Remove the environment, the demo with its data, and caches
	@if [ -d .run ] && [ -x $(BIN)/python ]; then $(BIN)/python -m tools.demo --stop; fi
	@rm -rf .run $(VENV) .venvs build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} + -o -name '*.egg-info' -type d -prune -exec rm -rf {} +

help: ## Print this
	@awk 'BEGIN {FS = ":.*## "; print "make TARGET"} \
	  /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z][a-z-]*:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
