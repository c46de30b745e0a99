# The two commands: `make lab` runs the lab, `make test` passes the tests. Everything is installed into .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || echo python3)
PORT ?= 8000
DATALAKE ?= files
SECONDS_EACH ?= 60
MINUTES ?= 60
BASE ?=
REGISTRY ?= geodes-lab
TAG ?= 0.1.0
GPU ?=
ITEMS ?= 1000000
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# On a terminal uv shows what it loads, with bars; else it is silent.
BARS := $(shell test -t 2 || echo --quiet)
# Compiled once, as in $(READY): else each process that the tests start would do it, where the environment forbids to keep it.
COMPILED = $(BIN)/python -m compileall -q -j 0 geodes_lab hub kernels tests
STYLE = $(BIN)/ruff check -q . && $(BIN)/ruff format -q --check .
RULES = $(BIN)/mypy -p geodes_lab -p hub && { $(BIN)/lint-imports --no-cache >build/imports.txt || { cat build/imports.txt; exit 1; }; }
# Types and import rules are checked beside the tests. The tests keep the byte-code of their asserts, also where the environment forbids to.
TESTS = { $(RULES); } >build/rules.txt 2>&1 & rules=$$!; PYTHONDONTWRITEBYTECODE= $(BIN)/pytest $(1); tests=$$?; \
	wait $$rules; rules=$$?; cat build/rules.txt; [ $$tests = 0 ] && exit $$rules; exit $$tests
# A file's tests run in one process, since they share what is started for them: hubs, clusters, servers.
AT_ONCE = -n $(JOBS) --dist loadfile --no-loadscope-reorder
# Two for each core: tests of servers and clusters wait half of their time. Those of `make check` do not.
JOBS ?= $(shell n=$$((2 * $$(nproc 2>/dev/null || echo 1))); echo $$((n < 8 ? n : 8)))

.DEFAULT_GOAL := help
.PHONY: help install lab demo check test test-all stac-browser chart images docs notebooks fuzz fuzz-products bench bench-docs bench-all audit lint lock clean

help:  ## list the targets
	@sed -nE 's/^##@ (.*)/\n\1:/p; s/^([a-z-]+):.*## */  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

##@ Use it

install: $(READY)  ## install the lab into .venv, and start nothing: for operators (docs/operations/quick-start.md)

lab: $(READY)  ## start the lab on this machine and print its link (PORT=8000, DATALAKE=files|s3)
	@$(BIN)/python -m hub.lab --port $(PORT) --datalake $(DATALAKE)

demo: $(READY)  ## the same without a person: run notebook 01 through the hub, leave it and its picture in build/
	@$(BIN)/python -m hub.demo

##@ Test it

check: JOBS := $(shell nproc 2>/dev/null || echo 2)
check: $(READY)  ## format, lint, types, import rules, and the tests that need no server, browser, SLURM or helm and few seconds
	@mkdir -p build
	@$(STYLE)
	@$(COMPILED)
	@$(call TESTS,$(AT_ONCE) -m 'not slow and not server and not thorough')

test: $(READY)  ## the rules and all tests but the long ones, with the browser and SLURM where they can be had
	@tests/get-chromium
	@tests/get-slurm
	@tests/get-helm
	@mkdir -p build
	@$(STYLE)
	@$(COMPILED)
	@$(call TESTS,$(AT_ONCE))

test-all: $(READY)  ## the tests with the long ones
	@tests/get-chromium
	@tests/get-slurm
	@tests/get-helm
	@$(COMPILED)
	@GEODES_LAB_EXAMPLES=search $(BIN)/pytest $(AT_ONCE) -m ""

stac-browser: $(READY)  ## STAC Browser from npm's registry, built once (3 minutes), opens the lab's STAC API in a browser
	@tests/get-chromium
	@tests/get-stac-browser
	@$(BIN)/pytest -m "" tests/integration/browser/test_stac_browser.py

chart: $(READY)  ## the Helm chart: lint, schemas, rendered objects, pods, policies, images (UPDATE=1 writes the snapshots anew)
	@tests/get-helm
	@$(BIN)/pytest tests/integration/chart

##@ Build it

images: $(READY)  ## both images, with docker or podman: BASE=python:3.11-slim-bookworm@sha256:… says upon what, REGISTRY= and TAG= as what, GPU=1 builds one for GPUs too
	@GPU='$(GPU)' helm/images/build.sh '$(BASE)' '$(REGISTRY)' '$(TAG)'

docs: $(READY)  ## the documentation, into build/docs; runs those notebooks that have changed (a few minutes the first time)
	@$(BIN)/python -m docs.execute
	@$(BIN)/python -m docs.website

notebooks: $(READY)  ## bring the notebooks' pairs and their French versions up to date
	@$(BIN)/jupytext --quiet --sync notebooks/*.py
	@$(BIN)/python notebooks/french/translate.py

##@ Try it hard

fuzz: $(READY)  ## coverage-guided fuzzing of the parsers, SECONDS_EACH=60 (Linux on x86-64, where atheris installs)
	@VIRTUAL_ENV='$(CURDIR)/$(VENV)' $(BIN)/uv pip install --quiet --no-deps --require-hashes -r tests/atheris.txt
	@mkdir -p build/fuzz
	@for target in xml zip jpeg2000 tiff; do \
		DASK_GEODES_LAB__CACHE__FOLDER=build/fuzz/cache DASK_GEODES_LAB__REPLICA__FOLDER=build/fuzz/replicas \
		$(BIN)/python -m tests.fuzzer $$target build/fuzz/$$target -max_total_time=$(SECONDS_EACH) -verbosity=0 -artifact_prefix=build/fuzz/ \
		2>build/fuzz/$$target.log && echo "$$target: nothing found in $(SECONDS_EACH) s" || { tail -40 build/fuzz/$$target.log; exit 1; }; done

fuzz-products: $(READY)  ## whole products of every family, damaged and hostile, each opened in a child that is measured (MINUTES=60)
	@$(BIN)/python -m tests.fuzz_products --minutes $(MINUTES)

bench: $(READY)  ## one page in ten minutes: ours / beside it / limit / goal / met
	@$(BIN)/python -m tests.benchmarks.page

bench-docs: $(READY)  ## put the page of the last `make bench` into docs/reference/benchmarks.md
	@$(BIN)/python -m tests.benchmarks.page --docs

bench-all: $(READY)  ## every other table of docs/reference/benchmarks.md, which takes hours (ITEMS=10000000 for the large catalogue)
	@$(BIN)/python -m tests.benchmarks.start
	@$(BIN)/python -m tests.benchmarks.read
	@$(BIN)/python -m tests.benchmarks.graph
	@$(BIN)/python -m tests.benchmarks.memory --side 3072
	@$(BIN)/python -m tests.benchmarks.save
	@$(BIN)/python -m tests.benchmarks.canopy
	@$(BIN)/python -m tests.benchmarks.rtc --share 3
	@$(BIN)/python -m tests.benchmarks.download
	@$(BIN)/python -m tests.benchmarks.convert
	@$(BIN)/python -m tests.benchmarks.acquire
	@$(BIN)/python -m tests.benchmarks.catalogue --items $(ITEMS)
	@$(BIN)/python -m tests.benchmarks.services.catalogue
	@$(BIN)/python -m tests.benchmarks.services.hub
	@$(BIN)/python -m tests.benchmarks.jobs
	@$(BIN)/python -m tests.benchmarks.services.jobs
	@$(BIN)/python -m tests.benchmarks.tiles

audit: $(READY)  ## what is known to be wrong with the packages of the lock files (asks the index about each), and all attacks and auditor's checks
	@$(BIN)/python -m tests.audit requirements.lock helm/images/uv.txt helm/images/build.txt helm/images/gpu.txt tests/atheris.txt
	@tests/get-chromium
	@tests/get-helm
	@$(BIN)/pytest -m attack

##@ Keep it

lint: $(READY)  ## mend what ruff can mend
	@$(BIN)/ruff check -q --fix . ; $(BIN)/ruff format -q .

lock: $(BIN)/uv  ## resolve pyproject.toml anew into requirements.lock
	$(BIN)/uv pip compile pyproject.toml --universal --all-extras --python-version 3.11 --generate-hashes --no-annotate --no-header -q -U -o requirements.lock
	$(BIN)/uv pip compile helm/images/gpu.in -c requirements.lock --universal --python-version 3.11 --generate-hashes --no-annotate --no-header -q -U -o helm/images/gpu.txt

clean:  ## remove the environment and what was built; the lab's state and your files in .lab stay
	rm -rf $(VENV) build

$(BIN)/uv:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11, 3.12 or 3.13 is needed: install it, or say which with PYTHON=/path/to/python."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "$(PYTHON) is $$($(PYTHON) -V): Python 3.11 to 3.13 is needed; say which with PYTHON=/path/to/python."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r helm/images/uv.txt

# Byte-code is compiled once here: without it every kernel would pay for it (5.5 s for an import instead of 1.8 s).
$(READY): requirements.lock pyproject.toml hub/package-lock.json helm/images/build.txt | $(BIN)/uv
	@echo "Installing the lab into $(VENV) (a minute or so the first time) …"
	@VIRTUAL_ENV='$(CURDIR)/$(VENV)' $(BIN)/uv pip install $(BARS) --compile-bytecode --require-hashes -r requirements.lock
	@VIRTUAL_ENV='$(CURDIR)/$(VENV)' $(BIN)/uv pip install --quiet --no-deps --build-constraint helm/images/build.txt -e .
	@$(BIN)/python -m hub.front.proxy
	@touch $@
