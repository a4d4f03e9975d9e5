# Everything from a fresh clone, with Python 3.11+, Node 22+ and make. `make` alone lists what there is.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
PORT ?=
MODEL ?=
VENV := .venv
PY := $(VENV)/bin/python
# Inside the folders that they speak of, so that deleting one has it made again.
PYTHON_READY := $(VENV)/.ready
NODE_READY := node_modules/.ready
JS_READY := clients/js/node_modules/.ready
JS_BUILT := clients/js/dist/.built
# Every process of the CDK would print its banner of ten lines: `need-node` says it in one.
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20
export PIP_DISABLE_PIP_VERSION_CHECK := 1
LOCK := $(VENV)/bin/uv pip compile --quiet --generate-hashes $(if $(UPGRADE),--upgrade)
ANYWHERE := --universal --python-version 3.11
LAMBDA := --python-version 3.13 --python-platform aarch64-manylinux_2_28
WORKERS ?= 3

.PHONY: help
help:  ## list the commands
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | sort | \
		while IFS="$$(printf '\t')" read -r name text; do printf '  make %-14s %s\n' "$$name" "$$text"; done

.PHONY: setup
setup: $(PYTHON_READY) $(NODE_READY) $(JS_BUILT)  ## install what the other commands need (they do so themselves)

.PHONY: need-python need-node
need-python:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
		echo "Promptlane needs Python 3.11 or newer, and there is no '$(PYTHON)'. Install it, or say which: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Promptlane needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Say which to use: make PYTHON=python3.12 ..." >&2; exit 1; }

need-node:
	@command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 || { \
		echo "Promptlane deploys with the AWS CDK, which needs Node.js 22 or newer with npm, and there is none. Install it (https://nodejs.org) and try again." >&2; exit 1; }
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || { \
		echo "Promptlane needs Node.js 22 or newer; this is $$(node --version). Install a newer one and try again." >&2; exit 1; }
	@node -e 'process.exit(parseInt(process.versions.node) < 22 ? 1 : 0)' || \
		echo "Node.js $$(node --version) is past its end of life: it still works here, but install 22 or newer." >&2

$(PYTHON_READY): requirements/dev.txt pyproject.toml | need-python
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "Installing Python packages ..."
	@$(PY) -m pip install --quiet --require-hashes -r requirements/dev.txt
	@$(PY) -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(NODE_READY): package.json package-lock.json | need-node
	@echo "Installing the CDK CLI ..."
	@npm ci --silent --no-audit --no-fund
	@touch $@

$(JS_READY): clients/js/package.json clients/js/package-lock.json | need-node
	@echo "Installing what the TypeScript client is built with ..."
	@cd clients/js && npm ci --silent --no-audit --no-fund
	@touch $@

# Types are checked on the way.
$(JS_BUILT): $(JS_READY) clients/js/build.mjs clients/js/tsconfig.json $(wildcard clients/js/src/*.ts)
	@node clients/js/build.mjs
	@touch $@

.PHONY: lint
lint: $(PYTHON_READY)  ## ruff, mypy, the import rules, and what `make house` would show as broken
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(PY) -m tests.house --broken

.PHONY: house
house: $(PYTHON_READY)  ## circles, long files and what else is out of order in the code, counted
	@$(PY) -m tests.house

.PHONY: test
test: setup chromium lint  ## lint and all tests, but for `make attacks` and `make deployments` on deployed stacks
	@$(VENV)/bin/pytest -n $(WORKERS) --dist loadgroup -m "not deployed_attack and not deployments"

.PHONY: test-unit
test-unit: $(PYTHON_READY)  ## the fast tests only
	@$(VENV)/bin/pytest tests/unit

.PHONY: explore
explore: $(PYTHON_READY)  ## the fast tests with new examples of every property, and more of them
	@HYPOTHESIS_PROFILE=explore $(VENV)/bin/pytest tests/unit -n $(WORKERS)

.PHONY: attacks
attacks: setup  ## attack what the review promises, with each guard and without it; writes .local/attacks.json
	@$(VENV)/bin/pytest tests/attacks -n $(WORKERS) --dist loadgroup --attacks-json .local/attacks.json

# Two cores, up to half an hour. SEED=n draws another sample.
.PHONY: mutants
mutants: setup  ## how many of 440 single changes to the code the fast tests notice; writes .local/mutants.json
	@$(PY) -m tests.mutants $(if $(SEED),--seed $(SEED))

.PHONY: conformance
conformance: setup  ## what the Python and the TypeScript client answer, side by side; writes .local/conformance.json
	@$(PY) -m tests.conformance

.PHONY: e2e
e2e: setup chromium  ## tests in a real browser against a deployed embedded AWS
	@$(VENV)/bin/pytest tests/e2e

.PHONY: pictures
pictures: setup chromium  ## the pictures of docs/review.md
	@$(PY) -m tests.pictures

.PHONY: chromium
chromium:
	@command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || \
		command -v google-chrome >/dev/null 2>&1 || { \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null 2>&1 && echo "Installing Debian's chromium ..." && \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } || \
		{ echo "The browser tests need Chromium; install the package 'chromium' and try again." >&2; exit 1; }

# The layers are for Lambda's Python and processor; everything else is for every machine that we work on. dev.txt comes
# first, and the others take their versions from it: what is deployed is what was tested.
.PHONY: lock
lock: $(PYTHON_READY)  ## pin and hash what requirements.in, requirements/*.in and pyproject.toml need; UPGRADE=1 renews the rest
	@$(LOCK) $(ANYWHERE) pyproject.toml --extra cli requirements/dev.in -o requirements/dev.txt
	@$(LOCK) $(ANYWHERE) -c requirements/dev.txt pyproject.toml --extra cli requirements.in -o requirements.txt
	@$(LOCK) $(ANYWHERE) -c requirements/dev.txt requirements/bench.in -o requirements/bench.txt
	@$(LOCK) $(LAMBDA) -c requirements/dev.txt requirements/sdk.in -o requirements/sdk.txt
	@$(LOCK) $(LAMBDA) -c requirements/dev.txt requirements/layer.in -o requirements/layer.txt
	@$(LOCK) $(LAMBDA) -c requirements/dev.txt requirements/engine.in -o requirements/engine.txt
	@$(LOCK) $(LAMBDA) -c requirements/dev.txt requirements/receipts.in -o requirements/receipts.txt

.PHONY: synth
synth: setup  ## the CloudFormation templates, in cdk.out/
	@npx --no-install cdk synth --quiet --app "$(PY) app.py"

# With PROMPT, the app holds this prompt's stack alone, and reads no other prompt.
.PHONY: deploy
deploy: setup  ## deploy to the AWS of your environment, or to the one of `make up`: everything, or PROMPT=support-assistant
	@$(PY) -m local deploy $(if $(PROMPT),--prompt "$(PROMPT)") $(if $(CDK_ARGS),-- $(CDK_ARGS))

.PHONY: up
up: setup  ## the embedded AWS with everything deployed, in the background; goes on where it was (FRESH=1 starts anew, PORT=4566)
	@$(PY) -m local up $(if $(PORT),--port $(PORT)) $(if $(FRESH),--fresh)

.PHONY: down
down:  ## stop what `make up` started
	@test -x $(PY) || { echo "nothing is set up, so nothing is running"; exit 0; } && $(PY) -m local down

.PHONY: teardown
teardown: setup  ## deploy, fail, remove and deploy again on an embedded AWS (some minutes)
	@PROMPTLANE_TEARDOWN=1 $(VENV)/bin/pytest -q tests/e2e/test_teardown.py

.PHONY: deployments
deployments: setup  ## everyday edits, sizes and limits of a deployment, and an upgrade (SINCE=ref); writes .local/deployments.json
	@$(PY) -m tests.deployments $(if $(SINCE),--since $(SINCE))
	@$(VENV)/bin/pytest -q -m deployments tests/e2e

.PHONY: faults
faults: $(PYTHON_READY)  ## every fault at every AWS call of whole releases; writes .local/faults.json (half an hour)
	@$(PY) -m tests.faults

.PHONY: soak
soak: $(PYTHON_READY)  ## ten minutes of the client in eight processes, disturbed (MINUTES=n SEED=n); writes .local/soak.json
	@$(PY) -m tests.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

.PHONY: destroy
destroy: setup  ## remove a deployment from the account of your credentials: end its releases, then delete its stacks (NAME=promptlane)
	@$(PY) -m infra.teardown $(if $(NAME),$(NAME),promptlane) && npx cdk destroy --all

.PHONY: demo
demo: setup $(if $(filter smollm2,$(MODEL)),smollm2)  ## two releases with live traffic; MODEL=smollm2 uses a real small model
	@$(PY) -m local.demo $(if $(MODEL),--model $(MODEL)) $(if $(PORT),--port $(PORT))

-include benchmarks/Makefile.inc
-include local/demo/Makefile.inc
-include local/access/Makefile.inc
