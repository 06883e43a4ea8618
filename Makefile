# Everything runs on a fresh machine with Python >= 3.11, make and a compiler: `make demo`, `make test`.
PYTHON ?= python3
BIN := .venv/bin

UV ?= uv
# directories are written down once, when they are needed: Python's version is part of their names
PACKAGES = import sysconfig; print(sysconfig.get_path("purelib"))

.PHONY: demo test lint types contracts unit gpu gpu-pretended robustbench lock-robustbench format clean

demo: .venv/installed
	$(BIN)/evalsuite demo --out reports/demo

test: lint types contracts unit

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

contracts: .venv/installed
	$(BIN)/lint-imports

# two workers with one thread each: small networks do not gain from more threads
unit: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

# on a machine with a GPU
gpu: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m gpu

# the same tests without a GPU, on a device that refuses to be mixed with the CPU; AutoAttack would take minutes there
gpu-pretended: .venv/installed
	OMP_NUM_THREADS=1 EVALSUITE_TEST_DEVICE=pretended $(BIN)/python -m pytest -n 2 -m gpu -k 'not autoattack'

robustbench: .venv-robustbench/installed
	OMP_NUM_THREADS=1 PYTHONPATH=$(CURDIR) .venv-robustbench/bin/python -m pytest -m robustbench tests/robustbench

# RobustBench pins an old timm and needs an old setuptools: an environment of its own, which sees the packages of .venv
# (torch and all that is large) after its own. The `tests` that its wheel installs would stand in the way of ours.
.venv-robustbench/installed: requirements/robustbench.txt .venv/installed
	$(BIN)/python -m venv --clear --without-pip .venv-robustbench
	$(BIN)/python -m pip --python .venv-robustbench/bin/python install --quiet --no-deps --require-hashes -r $<
	own=$$(.venv-robustbench/bin/python -c '$(PACKAGES)') && rm -r "$$own/tests" && \
	  printf '%s\n' "$$($(BIN)/python -c '$(PACKAGES)')" "$(CURDIR)" > "$$own/checkout.pth"
	touch $@

lock-robustbench:
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade --no-deps --no-annotate \
	  --no-emit-index-url --custom-compile-command 'make lock' --output-file requirements/robustbench.txt \
	  requirements/robustbench.in

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[all]'
	# imagecorruptions-imaug brings the OpenCV that needs a display's libraries: put the headless one in its place
	$(BIN)/python -m pip uninstall --quiet --yes opencv-python
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps opencv-python-headless
	touch $@

clean:
	rm -rf .venv .venv-robustbench .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
