# make build | bench | device-report | test | sanitize | coverage | lint | format | clean. Each but
# the last sets up what it needs.
VENV := .venv
BIN := $(VENV)/bin

# PYTHON makes the venv; it and TORCH, once chosen, stay the defaults of this checkout.
PYTHON_CHOICE := $(shell cat $(VENV)/python-choice 2>/dev/null)
PYTHON ?= $(or $(PYTHON_CHOICE),python3)

# pip leaves compiling to Python, which compiles what is imported and keeps that.
PIP := $(BIN)/python -m pip install --quiet --no-compile
unexport PYTHONDONTWRITEBYTECODE

# The version of torch to install, or `system`: use the one that PYTHON has (GPU machines).
TORCH_CHOICE := $(shell cat $(VENV)/torch-choice 2>/dev/null)
TORCH ?= $(or $(TORCH_CHOICE),2.13.0)
ifeq ($(TORCH),system)
# A path file and not --system-site-packages, which would miss the torch of another venv.
ADD_TORCH = "$(PYTHON)" -c "import pathlib, torch; print(pathlib.Path(torch.__file__).parents[1])" \
  > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torch.pth"
else
ADD_TORCH = $(PIP) torch==$(TORCH)
endif

# A file's tests stay together, since their fixtures compile. On a GPU each process holds a context.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile

SOURCES := setup.py pyproject.toml octconv_cuda/sources.py $(shell find csrc -type f)

.PHONY: another-venv build bench device-report test sanitize coverage lint format clean

build: $(VENV)/installed-torch-$(TORCH)

# Another PYTHON makes the venv anew, unless it is the same one by another name, or the venv's own.
PREFIX = $(shell "$(1)" -c "import sys; print(sys.prefix)" 2>/dev/null)
ifneq ($(PYTHON_CHOICE),)
ifneq ($(PYTHON),$(PYTHON_CHOICE))
ifeq ($(filter $(call PREFIX,$(PYTHON_CHOICE)) $(abspath $(VENV)),$(call PREFIX,$(PYTHON))),)
CLEAR := --clear
$(VENV)/installed-torch-$(TORCH): another-venv
endif
endif
endif

$(VENV)/installed-torch-$(TORCH): $(SOURCES)
	"$(PYTHON)" -m venv $(CLEAR) $(VENV)
	rm -f $(VENV)/installed-torch-*
	echo $(TORCH) > $(VENV)/torch-choice
	echo "$(PYTHON)" > $(VENV)/python-choice
	$(ADD_TORCH)
	$(PIP) "setuptools>=77" ninja
	$(PIP) --no-build-isolation --editable ".[test,bench,lint]"
	$(BIN)/python -m octconv_cuda
	touch $@

# On a GPU machine the layer suite, elsewhere the choice of it that takes under two minutes.
bench: build
	@if $(BIN)/python -c "import sys, torch; sys.exit(not torch.cuda.is_available())"; \
	then $(BIN)/python -m benchmarks.layers; \
	else $(BIN)/python -m benchmarks.layers --quick; fi

# All that a GPU machine can show, in under eight minutes; elsewhere a rehearsal.
device-report: build
	$(BIN)/python -m benchmarks.device_report

test: build
	$(PYTEST)

# All tests of the emulated kernels, those under thread sanitizer too, which `test` leaves out.
sanitize: build
	$(PYTEST) -m "" $$(grep -l emulators tests/test_*.py)

coverage: build
	$(PYTEST) --cov --cov-report=term-missing

lint: build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m benchmarks.readme --check
	git ls-files 'csrc/*' 'tests/*' | grep -E '\.(h|cpp|cu|cuh)$$' | xargs $(BIN)/clang-format --dry-run --Werror

format: build
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	git ls-files 'csrc/*' 'tests/*' | grep -E '\.(h|cpp|cu|cuh)$$' | xargs $(BIN)/clang-format -i

clean:
	rm -rf $(VENV) build dist *.egg-info octconv_cuda/_C.abi3.so
