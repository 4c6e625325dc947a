# make setup     everything into .venv (once; again only when the requirements change); PIP_ARGS go to pip
# make demo      the main job on the built-in model, and its accelerator in Verilog on four images
# make docs      the site of documentation, in build/site
# make test      every check but those marked slow
# make test-all  every check
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP_ARGS ?=
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Where builds of torch lie that bring no CUDA; asked for where there is no GPU.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
PYTEST := $(BIN)/pytest -n logical --dist loadgroup

.PHONY: setup demo docs lint test test-all clean

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: $$($(PYTHON) --version 2>&1) found; Python 3.11 or newer is needed (make PYTHON=...)" >&2; exit 2; }
	@command -v g++ >/dev/null || \
	  { echo "make: g++ not found; install it (Debian: apt-get install g++)" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "make: $(PYTHON) cannot make a venv (Debian: apt-get install python3-venv)" >&2; exit 2; }
	@nvidia-smi -L >/dev/null 2>&1 || \
	  $(PIP) --no-deps --timeout 10 --retries 0 --index-url $(TORCH_INDEX) $(PIP_ARGS) "$$(grep '^torch==' constraints.txt)" 2>/dev/null || \
	  echo "make: no build of torch for CPUs alone at $(TORCH_INDEX); pip takes its own index's, with CUDA mostly (3 GB)"
	$(PIP) -c constraints.txt $(PIP_ARGS) -e '.[verify,characterize,dev]'
	@touch $(INSTALLED)

# Apart from the set-up: only the site needs them. Its theme tells of its successor at every build.
$(VENV)/.docs: $(INSTALLED)
	$(PIP) -c constraints.txt $(PIP_ARGS) -e '.[docs]'
	@touch $(VENV)/.docs

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

demo: setup
	$(BIN)/hwnorm run --out runs/demo
	$(BIN)/hwnorm engine runs/demo --budget dsp=200
	$(BIN)/hwnorm cosim runs/demo --images 4
	$(BIN)/hwnorm report runs/demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(PYTEST) -m "not slow"

test-all: lint
	$(PYTEST)

clean:
	rm -rf $(VENV) build dist runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
