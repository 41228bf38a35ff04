# What a developer does here, each with one word. `make` alone lists the words.
#
# Everything is installed into .venv from the lock files, with hashes, once and again when a lock changes: the
# stamps in .venv remember it. Nothing outside this directory is touched.

PYTHON  ?= python3
WORKERS ?= 2
T       ?= tests

BIN     := .venv/bin
# No bytecode at install: it is made when a module is first used, and most never are.
PIP     := $(BIN)/python -m pip --quiet --no-input --disable-pip-version-check
INSTALL := $(PIP) install --no-compile
# setuptools warns of what an editable install is; we know.
INSTALL_EXCHANGE := PYTHONWARNINGS=ignore $(INSTALL) --no-deps --no-build-isolation -e .
CHECKED := exchange tests examples docs benchmarks
TYPED   := exchange examples tests/support

# npm's part of the interop tests; without npm those tests say loudly that they were skipped.
INTEROP := $(if $(shell command -v npm 2>/dev/null),tests/interop/node_modules/.installed)

APT_GET := timeout 120 env DEBIAN_FRONTEND=noninteractive apt-get --yes --no-install-recommends

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: bench help dev run demo test interop peers proxies check static format lint types imports pages policies docs fmt lock clean

help: ## List these words
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dev: .venv/dev.installed $(INTEROP) ## Install all that developing needs into .venv
	@echo "Ready. Now: make test, or make check before you push."

run: .venv/runtime.installed ## Serve on PORT (8080) with a demo IdP, show an exchange, keep serving
	@$(BIN)/python examples/demo.py --serve

demo: .venv/runtime.installed ## Do a real exchange on free ports, check it, clean up
	@$(BIN)/python examples/demo.py

test: .venv/dev.installed $(INTEROP) ## Run the tests; T=path runs some, WORKERS=n runs n at a time
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(T)

interop: peers ## Run the tests with real IdPs: Keycloak, Dex, Canaille and npm's oidc-provider
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile tests/interop

# Some minutes and 290 MB to download, once; `make test` runs the tests of what is installed here, and says what is not.
peers: .venv/dev.installed $(INTEROP) ## Install the real IdPs, or PEERS="keycloak canaille"; make test uses them from then on
	@$(BIN)/python -m tests.interop.install $(PEERS)

# nginx and HAProxy come from the system, and need root; without them their tests say loudly that they were skipped.
proxies: ## Install nginx and HAProxy, on Debian or Ubuntu as root, for the tests of mutual TLS
	@for program in nginx haproxy; do \
		PATH="$$PATH:/usr/sbin" command -v $$program >/dev/null && continue; \
		package=$$program; [ $$program = haproxy ] || package=nginx-light; \
		{ $(APT_GET) install $$package || { $(APT_GET) update && $(APT_GET) install $$package; }; } >/dev/null 2>&1 \
			&& echo "Installed $$program" || echo "INTEROP NOT RUN: $$program could not be installed"; \
	done

check: static test ## Everything that must hold before a push: static, then test

static: format lint types imports pages policies ## Check format, lint, types, imports, pages and policies

format: .venv/dev.installed
	@echo "== format" && $(BIN)/ruff format --check $(CHECKED)

lint: .venv/dev.installed
	@echo "== lint" && $(BIN)/ruff check $(CHECKED)

types: .venv/dev.installed
	@echo "== types" && $(BIN)/mypy $(TYPED)

imports: .venv/dev.installed
	@echo "== imports" && $(BIN)/lint-imports

pages: .venv/runtime.installed
	@echo "== pages" && $(BIN)/python docs/generate.py --check

policies: .venv/runtime.installed ## Check policies/ for faults and dangers, and run its tests
	@echo "== policies" && $(BIN)/exchange check --strict policies && $(BIN)/exchange test policies && $(BIN)/exchange schema --check

docs: .venv/runtime.installed ## Write the pages of docs/ that are made from the code
	@$(BIN)/python docs/generate.py

bench: .venv/dev.installed ## Measure what many rules and issuers cost, as ratios; writes benchmarks/results/
	@$(BIN)/python benchmarks/policies.py

fmt: .venv/dev.installed ## Format the code and fix what can be fixed
	@$(BIN)/ruff check --fix $(CHECKED)
	@$(BIN)/ruff format $(CHECKED)

# setuptools builds the editable install (pyproject.toml), so it is locked like everything else; uv makes the locks.
UV_COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --custom-compile-command 'make lock'

lock: .venv/dev.installed ## Choose versions anew and write the lock files
	@echo 'setuptools>=80' | $(UV_COMPILE) --upgrade --output-file requirements.lock setup.cfg -
	@printf 'setuptools>=80\nuv\n' | $(UV_COMPILE) --upgrade --output-file requirements-dev.lock \
		--constraints requirements.lock --extra dev setup.cfg -
	@echo 'canaille[oidc]' | $(UV_COMPILE) --upgrade --output-file tests/interop/canaille/requirements.lock -

clean: ## Remove all that was made here: .venv, caches, node_modules, and var/ with its keys
	rm -rf .venv var build *.egg-info tests/interop/node_modules tests/interop/.cache .pytest_cache .mypy_cache \
		.ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'This needs Python 3.11 or later as "$(PYTHON)". If yours has another name: make PYTHON=python3.12'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo 'This Python cannot make a virtual environment: it has no ensurepip. On Debian and Ubuntu:'; \
		echo '    sudo apt-get install python3-venv'; exit 1; }
	@echo "Making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv

.venv/runtime.installed: requirements.lock setup.cfg pyproject.toml | .venv/bin/python
	@echo "Installing the service and what it needs (requirements.lock)"
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(INSTALL_EXCHANGE)
	@touch $@

.venv/dev.installed: requirements-dev.lock requirements.lock setup.cfg pyproject.toml | .venv/bin/python
	@echo "Installing the service and the tools (requirements-dev.lock)"
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@$(INSTALL_EXCHANGE)
	@touch .venv/runtime.installed $@

tests/interop/node_modules/.installed: tests/interop/package.json tests/interop/package-lock.json
	@echo "Installing the peers of the interop tests (tests/interop/package-lock.json)"
	@cd tests/interop && npm ci --no-audit --no-fund --loglevel=error
	@touch $@
