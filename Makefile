# Everything runs on a fresh machine with Python >= 3.11, make and a compiler: `make demo`, `make test`.
PYTHON ?= python3
BIN := .venv/bin
UV := .venv-lock/bin/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	--custom-compile-command "make lock"
# directories are written down once, when they are needed: Python's version is part of their names
PACKAGES = import sysconfig; print(sysconfig.get_path("purelib"))

.PHONY: demo quick test lint types contracts unit gpu gpu-pretended robustbench format lock lock-robustbench test-latest
.PHONY: test-lowest fuzz schema clean

demo: .venv/installed
	$(BIN)/evalsuite demo --out reports/demo

test: lint types contracts unit

# while one works: a minute and a half on two cores; a file of tests that takes seconds is marked `slow`
quick: lint types contracts
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -q -m 'not slow and not gpu and not browser' --durations=5 --durations-min=1

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

lock-robustbench: .venv-lock/installed
	$(COMPILE) --no-deps --no-annotate requirements/robustbench.in --output-file requirements/robustbench.txt

# mutated inputs for everything that reads bytes or text: FUZZ_SECONDS shared by all readers, what is found is written to
# fuzz/findings; FUZZ='--target csv --seed 3' and other options of `python -m fuzz`
FUZZ_SECONDS ?= 60
fuzz: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m fuzz --seconds $(FUZZ_SECONDS) $(FUZZ)

# what `docs/schema/` publishes, after a field of `evalsuite/records/schema.py` was added
schema: .venv/installed
	$(BIN)/python -m evalsuite.records.json_schema > docs/schema/evalsuite-results-1.json

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# what is tested is what is locked: nothing is resolved, and every file is checked against its hash
.venv/installed: pyproject.toml requirements/all.txt
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement requirements/all.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# the newest versions that the ranges of pyproject.toml admit, under the constraints beside the lock
lock: .venv-lock/installed lock-robustbench
	$(COMPILE) pyproject.toml requirements/development.in --extra all \
		--constraint requirements/constraints.in --override requirements/overrides.in --output-file requirements/all.txt

.venv-lock/installed:
	$(PYTHON) -m venv --clear .venv-lock
	.venv-lock/bin/python -m pip install --quiet uv
	touch $@

# what the ranges admit today, and the least that they admit: no part of `make test`, whose answer must not depend on
# what a registry serves that day
test-latest: .venv-lock/installed
	$(PYTHON) -m venv --clear .venv-latest
	.venv-latest/bin/python -m pip install --quiet --editable '.[all]'
	.venv-latest/bin/python -m pip uninstall --quiet --yes opencv-python
	.venv-latest/bin/python -m pip install --quiet --force-reinstall --no-deps opencv-python-headless
	.venv-latest/bin/mypy
	OMP_NUM_THREADS=1 .venv-latest/bin/python -m pytest -n 2

# (torch 2.12 warns of its own use of `LeafSpec` where it exports to ONNX)
test-lowest: .venv-lock/installed
	$(PYTHON) -m venv --clear .venv-lowest
	$(UV) pip compile --quiet --resolution lowest-direct --python-version 3.11 pyproject.toml --extra all \
		--override requirements/overrides.in --output-file .venv-lowest/lowest.txt
	.venv-lowest/bin/python -m pip install --quiet --no-deps --requirement .venv-lowest/lowest.txt
	.venv-lowest/bin/python -m pip install --quiet --no-deps --editable .
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -n 2 -W 'ignore:`isinstance(treespec, LeafSpec)`:FutureWarning'

clean:
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
