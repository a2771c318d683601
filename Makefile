# Every target sets up what it needs; the second time it is quick.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help install dev demo test campaign lint real bench race simnode clean
.DEFAULT_GOAL := help

help: ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 12

# A .venv of which the Python is gone or is another one now, or that was not finished, is made anew.
NEEDED := numpy scipy networkx pyln.client pyln.proto
SOUND := $(shell { test -f $(VENV)/.installed && $(BIN)/python -c 'import sys; from importlib import import_module; \
	list(map(import_module, sys.argv[1:])); sys.exit(sys.prefix == sys.base_prefix)' $(NEEDED); } 2>/dev/null && echo yes)

.PHONY: unsound

$(VENV)/.installed: requirements.txt $(if $(filter yes,$(SOUND)),,unsound)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@rm -f $@
	$(PYTHON) -m venv $(if $(filter yes,$(SOUND)),,--clear) $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -r requirements.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.installed tests/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -r tests/requirements.txt
	@touch $@

$(VENV)/.real: $(VENV)/.dev tests/real/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -r tests/real/requirements.txt
	@touch $@

install: $(VENV)/.installed ## What the plugin needs, in .venv
dev: $(VENV)/.dev ## What the tests and the linters need as well

demo: $(VENV)/.installed ## Pay invoices on a simulated network (NODES=500, NETWORK=<gossip_store[.xz]>, AMOUNT=)
	@$(BIN)/python -m pay.sim demo $(if $(NODES),--nodes '$(NODES)') $(if $(NETWORK),--network '$(NETWORK)') $(if $(AMOUNT),--amount '$(AMOUNT)')

simnode: $(VENV)/.installed ## A simulated node that stays up, to play with
	@$(BIN)/python -m pay.sim node $(if $(NODES),--nodes '$(NODES)') $(if $(NETWORK),--network '$(NETWORK)')

test: $(VENV)/.dev ## All tests that need no real node
	$(BIN)/python -m pytest -q -n 2 --ignore tests/real --ignore tests/bench

real: $(VENV)/.dev $(if $(shell command -v lightningd),$(VENV)/.real) ## The tests against the lightningd on the PATH (skipped where there is none)
	$(BIN)/python -m pytest -q tests/real

campaign: $(VENV)/.dev $(if $(shell command -v lightningd),$(VENV)/.real) ## Payments under kill -9 (RUNS=200 simulated, 20 on the lightningd on the PATH)
	$(BIN)/python -m tests.campaign $(or $(RUNS),200)
	CAMPAIGN_RUNS=20 $(BIN)/python -m pytest -q tests/real/test_restart.py -k crash_campaign

bench: $(VENV)/.dev ## Measurements, as tables
	$(BIN)/python -m tests.bench

race: $(VENV)/.dev ## Beside pay and xpay on Core Lightning's simulated mainnet (CLN_DIR=<built tree> QUICK=1 RACE="--help")
	@CLN_DIR='$(CLN_DIR)' $(BIN)/python -m tests.bench.race $(if $(QUICK),--quick) $(RACE)

lint: $(VENV)/.dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy pay plugin.py

clean:
	rm -rf $(VENV) .bench .simnode
