# Arguments for the service or for pytest: make run ARGS="--port 8001"
ARGS =

.PHONY: help run demo mock check test contract-diff mutate-contract constructs generators frontends web fuzz check-history bench bench-instructions bench-layers bench-network bench-growth install lint codegen clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' Makefile

# `exec`, so that signals reach the service instead of a parent shell.
run: ## install the service's dependencies, and start it
	@./install.sh && exec .venv/bin/todo-api serve $(ARGS)

demo: ## install and start the example of a page, with accounts, the service and an embedded database
	@./install.sh demo && exec .venv/bin/python examples/demo.py $(ARGS)

mock: ## start the service, which answers operations without a handler from their examples
	@./install.sh && exec .venv/bin/todo-api serve --mock $(ARGS)

check: lint ## check contract, code and types, and test the operations that changed since the last commit
	.venv/bin/todo-api check
	changed=$$(PYTHONPATH=tests .venv/bin/python -m support.changed) && \
		.venv/bin/pytest -q -n 0 -k "finds_nothing_in_the_contract$${changed:+ or $$changed}" $(ARGS)

test: lint ## install the tools, and run all checks and tests
	.venv/bin/pytest $(ARGS)

contract-diff: install ## judge openapi.yaml by the last contract in contracts/, and its version by the changes
	.venv/bin/python -m fastapi_contract.changes.contract_diff openapi.yaml contracts CHANGELOG.md

mutate-contract: install ## run all tests, and list the edits of openapi.yaml that none of them would notice
	status=0; .venv/bin/pytest --record=reports/traffic.jsonl $(ARGS) || status=$$?; \
		PYTHONPATH=tests .venv/bin/python -m support.mutations reports/traffic.jsonl && exit $$status

constructs: install ## try and fuzz all constructs of OpenAPI; writes docs/constructs.md
	PYTHONPATH=tests .venv/bin/python -m support.constructs >docs/constructs.md
	CONSTRUCTS=all .venv/bin/pytest tests/contract/test_constructs.py $(ARGS)

generators: ## generate clients with every generator, compile them, and call a new service with each
	@tests/generators/install.sh
	GENERATORS=all .venv/bin/pytest tests/generators $(ARGS)

frontends: ## list a task in a browser with Next.js and with Vite, which this installs
	@./install.sh dev tests/frontends
	FRONTENDS=all .venv/bin/pytest -n 0 tests/frontends $(ARGS)

web: install ## try all scenarios of examples/web in a browser; writes reports/screenshots/web
	SCENARIOS=all .venv/bin/pytest -n 0 tests/web/test_scenarios.py $(ARGS)

fuzz: install ## fuzz a new service, or the one at BASE_URL, for ten minutes; writes reports/
	.venv/bin/python tests/support/fuzz.py $(ARGS)

check-history: install ## check 50,000 concurrent operations under faults, with a new seed
	HISTORY_OPERATIONS=50000 HISTORY_SEED=$$(date +%s) .venv/bin/pytest -n 0 tests/history/test_history.py $(ARGS)

bench: ## measure the service next to seven others; writes docs/performance.md
	@bench/install.sh
	.venv/bin/python bench/run.py --write docs $(ARGS)

bench-instructions: ## count instructions per request (needs valgrind)
	@bench/install.sh
	.venv/bin/python bench/instructions.py --write docs $(ARGS)

bench-layers: ## profile CPU per layer and operation (ptrace must be allowed)
	@bench/install.sh
	.venv/bin/python bench/layers.py --write docs $(ARGS)

bench-network: ## measure with 1, 5 and 20 ms of latency to the database
	@bench/install.sh
	.venv/bin/python bench/network.py --write docs $(ARGS)

bench-growth: ## measure with ten million tasks (needs some GB of disk)
	@bench/install.sh
	.venv/bin/python bench/growth.py --write docs $(ARGS)

install: ## install the tools of the checks and tests
	@./install.sh dev

lint: install ## check generated code, style, types and imports
	./codegen.sh --check
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo --no-cache

codegen: install ## regenerate models, types and client from openapi.yaml
	./codegen.sh

clean: ## remove everything that was installed, built or cached; the tasks are kept
	rm -rf .venv .tools node_modules bench/.venv bench/.product bench/node_modules examples/web/node_modules examples/web/dist tests/generators/.venv tests/generators/node_modules tests/frontends/node_modules dist reports .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src generated tests bench examples -name __pycache__ -prune -exec rm -rf {} +
