# `make train`, `make test` and `make annotate` are all a newcomer needs; each makes its environment where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Three processes of one thread each: on two cores, one computes while another waits. Tests of a topic stay together, for
# they share what it made; topics and files begin in the order of tests/conftest.py. A process that dies ends the tests,
# with the name of its test: one started in its place can wait for ever for a second file. Compiled files are kept: without
# them each process compiles every test again.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder --max-worker-restart=0
DATA := data/phantoms
ANNOTATE := annotate/.venv

.PHONY: train test test-all test-avx2 campaign annotate test-annotate test-annotate-all lint format figures benchmark clean

train: $(VENV)/.installed $(DATA)
	$(BIN)/sgdnet train --dataset_dir $(DATA) --image_size 128 --batch_size 8 --max_epochs 16 --num_workers 0
	@echo
	@echo "The best weights, evaluated again:"
	$(BIN)/sgdnet evaluate --dataset_dir $(DATA) --image_size 128 --batch_size 8 --num_workers 0

test: $(VENV)/.installed-dev
	$(PYTEST) -m "not slow"

test-all: $(VENV)/.installed-dev
	$(PYTEST)

# As on a processor without AVX-512: no bfloat16, and other kernels.
test-avx2: $(VENV)/.installed-dev
	ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 $(PYTEST) -m "not slow" tests/test_processor.py tests/network tests/prediction

# Bad input to every verb, and kills at random moments of what writes; the table comes last, whatever failed before.
campaign: $(VENV)/.installed-dev $(ANNOTATE)/.installed-dev
	@mkdir -p build
	@rm -f build/campaign*.xml
	-$(PYTEST) --durations=0 --durations-min=60 --junitxml=build/campaign.xml tests/campaign tests/prediction/test_predict_kills.py
	-$(ANNOTATE)/bin/python -m pytest --junitxml=build/campaign-start.xml tests/campaign/test_bad_commands.py -k "annotate or every_verb"
	-$(ANNOTATE)/bin/python -m pytest --junitxml=build/campaign-server.xml annotate/tests/test_kills.py
	$(BIN)/python tests/campaign_counts.py build/campaign*.xml

annotate: $(ANNOTATE)/.installed data/annotate
	$(ANNOTATE)/bin/sgdnet annotate --studies data/annotate

test-annotate: $(ANNOTATE)/.installed-dev
	$(ANNOTATE)/bin/python -m pytest -m "not slow" annotate/tests

test-annotate-all: $(ANNOTATE)/.installed-dev
	$(ANNOTATE)/bin/python -m pytest annotate/tests

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

benchmark: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks all

figures: $(VENV)/.installed-dev
	$(BIN)/cog -r -p "from benchmarks.figures import *" README.md docs/*.md

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(DATA): | $(VENV)/.installed
	$(BIN)/sgdnet phantoms --output_dir $(DATA)

data/annotate: | $(ANNOTATE)/.installed
	$(ANNOTATE)/bin/sgdnet phantoms --output_dir data/annotate --count 24

$(ANNOTATE)/bin/pip:
	$(PYTHON) -m venv $(ANNOTATE)

$(ANNOTATE)/.installed: annotate/requirements.txt annotate/requirements-nodeps.txt constraints.txt pyproject.toml | $(ANNOTATE)/bin/pip
	$(ANNOTATE)/bin/pip install --quiet -r annotate/requirements.txt
	$(ANNOTATE)/bin/pip install --quiet --no-deps -r annotate/requirements-nodeps.txt
	$(ANNOTATE)/bin/pip install --quiet --no-deps -e .
	@touch $@

$(ANNOTATE)/.installed-dev: annotate/requirements-dev.txt $(ANNOTATE)/.installed
	$(ANNOTATE)/bin/pip install --quiet -r annotate/requirements-dev.txt
	@touch $@

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt constraints.txt pyproject.toml | $(VENV)/bin/pip
	@echo "Installing into $(VENV): PyTorch is large, so this takes some minutes"
	$(BIN)/pip install --quiet -r requirements.txt
	$(BIN)/pip install --quiet --no-deps -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements.txt constraints.txt pyproject.toml | $(VENV)/bin/pip
	$(BIN)/pip install --quiet -r requirements-dev.txt
	$(BIN)/pip install --quiet --no-deps -e .
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) $(ANNOTATE) build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
