# Everything runs on a fresh machine with Python >= 3.11, make and a compiler: `make demo`, `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types contracts unit format clean

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
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
