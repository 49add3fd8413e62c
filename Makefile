# make demo    everything once, on a synthetic corpus (five to ten minutes)
# make test    the tests, the same every time
# make fuzz    searches at random, for minutes, for input that is handled wrongly
# make test-extras  the tests of what is optional: JAX, Spark, PyAV, ffmpeg, older Keras; in build/
# make lint    ruff and mypy
# make bench   benchmarks -> results/benchmarks.csv; AGAINST=COMMIT also runs predict and a table of that commit
# make tables  tables, figures and the README's results from what lies under results/
# make report  the notebooks as one HTML report
PYTHON ?= python3
RESULTS ?= results
MINUTES ?= 5
# Printed with the commands of fuzz: make fuzz SEED=N searches there again.
SEED := $(or $(SEED),$(shell date +%s))
BIN := .venv/bin
.PHONY: install demo test fuzz test-extras lint bench tables report clean

install: .venv/installed

.venv/installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Python %d.%d found; 3.11, 3.12 or 3.13 expected. Say which: make PYTHON=python3.12 …" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

demo: install
	$(BIN)/python -m experiments.demo --output-dir demo

test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests

fuzz: install
	$(BIN)/python -m pytest -q -m hypothesis --hypothesis-profile=random --hypothesis-seed=$(SEED) tests
	$(BIN)/python tests/fuzz.py --minutes $(MINUTES) --seed $(SEED)

test-extras: install
	.ci/extras

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install
	$(BIN)/python -m experiments.benchmarks --results-dir $(RESULTS) $(if $(AGAINST),--against $(AGAINST))

tables: install
	$(BIN)/python -m experiments.report tables --results-dir $(RESULTS) --readme README.md

report: install
	$(BIN)/python -m experiments.report html --results-dir $(RESULTS)

clean:
	rm -rf .venv demo build
