# python3 (3.11 or newer), git and make are all this needs; .ci/bootstrap.py brings the rest.

.DEFAULT_GOAL := help
.PHONY: help demo lab test check house bench fuzz soak build constraints clean distclean setup

# The first Python that is recent enough; one that can make a virtual environment is preferred.
PYTHON := $(shell \
	for need in ensurepip sys; do \
		for python in python3 python3.13 python3.12 python3.11; do \
			$$python -c "import $$need, sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null \
				&& { echo $$python; exit; }; \
		done; \
	done)
BOOTSTRAP = $(or $(PYTHON),$(error Python 3.11 or newer is needed, and none was found on PATH)) .ci/bootstrap.py
RUN := .venv/bin/python

help:
	@echo "make demo    run the quickstart on the embedded sandbox and show what came out"
	@echo "make lab     open the notebooks in JupyterLab"
	@echo "make check   linters, types of the views, and the tests of what an answer goes through"
	@echo "make test    all tests, in real browsers too"
	@echo "make house   figures of the code: size, cycles, private names, words"
	@echo "make bench   measure speed and memory (ROWS=\"1 2\": some of it; SEED=2: other inputs)"
	@echo "make fuzz    damaged streams for five minutes (SECONDS=300)"
	@echo "make soak    runs under faults for ten minutes (SECONDS=600)"
	@echo "make build   sdist and wheel, into build/dist"
	@echo "make clean   remove what was built (make distclean: and what was installed)"

setup:
	@$(BOOTSTRAP)

demo: setup
	@$(RUN) .ci/demo.py

lab: setup
	@$(RUN) .ci/lab.py

check: setup
	@$(RUN) .ci/stages.py check

test:
	@$(BOOTSTRAP) --browser --services
	@$(RUN) .ci/stages.py test

house: setup
	@$(RUN) .ci/house.py

bench:
	@$(BOOTSTRAP) --browser --services
	@PYTHONPATH=.ci $(RUN) -m tests.bench $(if $(SEED),--seed $(SEED)) $(ROWS)

fuzz: setup
	@PYTHONPATH=.ci $(RUN) -m tests.fuzz --seconds $(or $(SECONDS),300)

soak: setup
	@PYTHONPATH=.ci $(RUN) -m tests.soak --seconds $(or $(SECONDS),600)
	@PYTHONPATH=.ci $(RUN) -m tests.soak.kernels

build: setup
	@$(RUN) -m build --no-isolation --outdir build/dist

# Needs uv, which set-up installs, and the package index; review what it changed.
constraints: setup
	@$(RUN) .ci/constraints.py

clean:
	@rm -rf build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache \
		agentnb/widgets/static js/.vitest
	@find agentnb tests .ci -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	@rm -rf .venv js/node_modules
