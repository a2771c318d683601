# Every target sets up what it needs; the second time it is quick.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help install dev demo test campaign docs lint real bench race simnode man pins clean
.DEFAULT_GOAL := help

help: ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 12

# Stages, each on the one before: .installed is what the node needs, .box the simulated network, .dev the tests and
# linters, .real the tests on the real node. Whatever is installed is pinned with hashes, transitively.
# make install SYSTEM_PACKAGES=1: numpy and SciPy are the system's. A .venv that was made so stays so until make clean.
SYSTEMS := $(shell grep -s 'include-system-site-packages = true' $(VENV)/pyvenv.cfg)
SYSTEM_PACKAGES ?= $(SYSTEMS)
NODE := $(if $(SYSTEM_PACKAGES),requirements/system.txt,requirements.txt)
# A .venv of which the Python is gone or is another one now, or that was not finished, is made anew.
SOUND := $(if $(and $(SYSTEM_PACKAGES),$(if $(SYSTEMS),,no)),,$(shell $(BIN)/python requirements/sound.py 2>/dev/null))
unsound = $(if $(filter $1,$(SOUND)),,unsound)
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all:
# What was not finished may look as if it were there.
AGAIN = $(if $(filter $(patsubst .%,%,$(@F)),$(SOUND)),,--force-reinstall)

.PHONY: unsound

$(VENV)/.installed: $(NODE) $(call unsound,installed)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@rm -f $@
	$(PYTHON) -m venv $(if $(filter installed,$(SOUND)),,--clear) $(if $(SYSTEM_PACKAGES),--system-site-packages) $(VENV)
	$(PIP) -r $(NODE)
	@touch $@

$(VENV)/.box: $(VENV)/.installed requirements/box.txt $(call unsound,box)
	$(PIP) $(AGAIN) -r requirements/box.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.box requirements/tests.txt $(call unsound,dev)
	$(PIP) $(AGAIN) -r requirements/tests.txt
	@touch $@

$(VENV)/.real: $(VENV)/.dev requirements/real.txt $(call unsound,real)
	$(PIP) $(AGAIN) -r requirements/real.txt
	@touch $@

install: $(VENV)/.installed ## What the plugin needs, in .venv
dev: $(VENV)/.dev ## What the tests and the linters need as well

demo: $(VENV)/.box ## Pay invoices on a simulated network (NODES=500, NETWORK=<gossip_store[.xz]>, AMOUNT=)
	@$(BIN)/python -m pay.sim demo $(if $(NODES),--nodes '$(NODES)') $(if $(NETWORK),--network '$(NETWORK)') $(if $(AMOUNT),--amount '$(AMOUNT)')

simnode: $(VENV)/.box ## A simulated node that stays up, to play with
	@$(BIN)/python -m pay.sim node $(if $(NODES),--nodes '$(NODES)') $(if $(NETWORK),--network '$(NETWORK)')

test: $(VENV)/.dev ## All tests that need no real node
	$(BIN)/python -m pytest -q -n 2 --ignore tests/real --ignore tests/bench

real: $(VENV)/.dev $(if $(shell command -v lightningd),$(VENV)/.real) ## The tests against the lightningd on the PATH (skipped where there is none)
	$(BIN)/python -m pytest -q tests/real

campaign: $(VENV)/.dev $(if $(shell command -v lightningd),$(VENV)/.real) ## Payments under kill -9 (RUNS=200 simulated, 20 on the lightningd on the PATH)
	$(BIN)/python -m tests.campaign $(or $(RUNS),200)
	CAMPAIGN_RUNS=20 $(BIN)/python -m pytest -q tests/real/test_restart.py -k crash_campaign

bench: $(VENV)/.dev ## Measurements, as tables: some hours, it says how many are left (QUICK=1: few samples, some minutes)
	$(BIN)/python -m tests.bench $(if $(QUICK),--quick) $(BENCH)

race: $(VENV)/.dev ## Beside pay and xpay on Core Lightning's simulated mainnet (CLN_DIR=<built tree> QUICK=1 RACE="--help")
	@CLN_DIR='$(CLN_DIR)' $(BIN)/python -m tests.bench.race $(if $(QUICK),--quick) $(RACE)

docs: $(VENV)/.installed ## The documents that are made from the code
	$(BIN)/python -m pay.commands.pages.log_events > docs/log-events.md
	$(BIN)/python -m pay.commands.pages docs

# In the second man looks where ~/.local/bin is on the PATH.
MANDIR ?= $(if $(shell test -w /usr/local/share/man && echo yes),/usr/local/share/man,$(HOME)/.local/share/man)

man: ## Put the manual pages where man looks, for `lightning-cli help paystatus` (MANDIR=<directory of man1, man7 …>)
	install -d $(MANDIR)/man7
	install -m 644 docs/man/*.7 $(MANDIR)/man7
	@man -w lightning-paystatus >/dev/null 2>&1 || echo 'man does not look there yet: export MANPATH=$(MANDIR):'

lint: $(VENV)/.dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy pay plugin.py clnpay.py tests/support tests/real/support tests/campaign

pins: ## Make the requirements anew from the .in files (needs uv; UPGRADE=1 also what they need in turn)
	@for name in requirements requirements/system requirements/box requirements/tests requirements/real; do \
		echo $$name.txt; UV_CUSTOM_COMPILE_COMMAND='make pins' uv pip compile --quiet --universal --python-version 3.11 \
			--generate-hashes --only-binary :all: $(if $(UPGRADE),--upgrade) -o $$name.txt $$name.in || exit 1; done

clean: ## Remove .venv, figures of benches, and the simulated node
	rm -rf $(VENV) .bench .simnode
