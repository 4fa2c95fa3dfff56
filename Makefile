# Everything a developer runs. `make` alone lists the targets.
PYTHON := .venv/bin/python
TRANSCODER := $(wildcard producer/transcode/*.py producer/transcode/*.pxd)

# Bytecode is kept whatever the shell says: a test starts the command, which would compile the whole package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup build stack stop lint format types test unit plugins golden matrix downstream smoke chaos chaos-short bench bench-peers plot demo picture screenshot clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: .venv/ready ## packages, Python environment, compiled transcoder

.venv/ready: pyproject.toml setup.py dev/setup.sh
	@sh dev/setup.sh

.venv/built: .venv/ready $(TRANSCODER)
	@$(PYTHON) setup.py --quiet build_ext --inplace --parallel 2
	@touch $@

build: .venv/built ## compile the transcoder

stack: build ## start PostgreSQL, Kafka and the registry for development
	@$(PYTHON) -m dev start

stop: ## stop them
	@$(PYTHON) -m dev stop

lint: build ## ruff, import contracts, types
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@.venv/bin/lint-imports >.venv/imports.log || (cat .venv/imports.log; exit 1)
	@$(PYTHON) -m mypy

format: build ## let ruff format
	@$(PYTHON) -m ruff format .
	@$(PYTHON) -m ruff check --fix .

test: build ## all tests, on real servers
	@$(PYTHON) -m pytest -n 3 --dist worksteal

unit: build ## tests that need no server
	@$(PYTHON) -m pytest tests/unit tests/property

plugins: build ## the acceptance tests with pgoutput instead of wal2json
	@$(PYTHON) -m pytest -n 3 --dist worksteal --plugin pgoutput tests/acceptance

golden: build ## capture the golden cases again, pgoutput on every supported PostgreSQL; review what differs
	@$(PYTHON) -m tests.golden

matrix: build ## types and shapes on every supported PostgreSQL, with pgoutput where it has no wal2json
	@$(PYTHON) -m dev.matrix -- -n 2 --dist worksteal

downstream: build ## our events through Debezium's JDBC sink into a second database, row by row
	@$(PYTHON) -m pytest tests/downstream

smoke: build ## kill -9, restarts, then count what was lost
	@$(PYTHON) -m tests.smoke

chaos: build ## 200 kill -9 and 20 of each other fault, the table of what came of them
	@$(PYTHON) -m tests.chaos

chaos-short: build ## 3 kill -9 and one of each other fault
	@$(PYTHON) -m tests.chaos --short

bench: build ## beside pg_recvlogical, COPY and producing ready bytes, in one run
	@$(PYTHON) -m bench

bench-peers: build ## the same, with Debezium in Kafka Connect
	@$(PYTHON) -m bench --peers

plot: build ## its results as pictures in docs/
	@.venv/bin/pip install --quiet --group bench
	@$(PYTHON) -m bench.plot

demo: build ## a shop database, its changes live on Kafka; Ctrl-C ends everything
	@$(PYTHON) -m dev.demo

picture: build ## docs/demo.svg, drawn from a run of the demo
	@$(PYTHON) -m dev.picture

screenshot: build ## docs/status-page.png: a shop's status page in Chromium
	@$(PYTHON) -m tests.screenshot

clean: ## remove what was built and every local server
	@-$(PYTHON) -m dev wipe
	@-for folder in .dev/matrix/*/; do [ -d "$$folder" ] && DEV_STACK_DIR="$$folder" $(PYTHON) -m dev wipe; done
	@rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache producer/transcode/*.c producer/transcode/*.so
