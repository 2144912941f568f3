# Arguments for the service or for pytest: make run ARGS="--port 8001"
ARGS =

.PHONY: help run test fuzz bench bench-instructions bench-layers bench-network bench-growth install lint codegen clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' Makefile

# `exec`, so that a signal reaches the service itself and not a shell above it.
run: ## install what the service needs, and start it
	@./install.sh && exec .venv/bin/todo-api serve $(ARGS)

test: lint ## install what the checks need, and run them all
	.venv/bin/pytest $(ARGS)

fuzz: install ## fuzz for ten minutes a service of its own, or the one at BASE_URL; reports in reports/
	.venv/bin/python tests/fuzz.py $(ARGS)

bench: ## measure the service beside its peers; writes docs/performance.md
	@bench/install.sh
	.venv/bin/python bench/run.py --write docs $(ARGS)

bench-instructions: ## count instructions per request (needs valgrind)
	@bench/install.sh
	.venv/bin/python bench/instructions.py --write docs $(ARGS)

bench-layers: ## tell where the CPU of each operation goes (ptrace must be allowed)
	@bench/install.sh
	.venv/bin/python bench/layers.py --write docs $(ARGS)

bench-network: ## measure with 1, 5 and 20 ms to the database
	@bench/install.sh
	.venv/bin/python bench/network.py --write docs $(ARGS)

bench-growth: ## measure with ten million tasks (some GB of disk)
	@bench/install.sh
	.venv/bin/python bench/growth.py --write docs $(ARGS)

install: ## install what the checks need
	@./install.sh dev

lint: install ## check the generated code, the style, the types and the imports
	./codegen.sh --check
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo --no-cache

codegen: install ## generate anew what follows from openapi.yaml
	./codegen.sh

clean: ## remove what was installed, built and cached; the tasks stay
	rm -rf .venv .tools node_modules bench/.venv bench/.product bench/node_modules dist reports .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src generated tests bench -name __pycache__ -prune -exec rm -rf {} +
