# Each target does its own set-up: a virtual environment in .venv and an editable install.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow bench distill-pysr lint data clean

demo: .venv/.core
	$(BIN)/bit demo --out demo

test: .venv/.dev lint
	$(BIN)/python -m pytest -m "not slow" -n 2

test-slow: .venv/.dev
	$(BIN)/python -m pytest -m slow

bench: .venv/.bench
	$(BIN)/python benchmarks/compare_boosters.py
	$(BIN)/python benchmarks/prediction.py
	$(BIN)/python benchmarks/cpp_header.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/scale.py --events 1e5 1e6 1e7
	$(BIN)/python benchmarks/information.py
	$(BIN)/python benchmarks/linear_leaves.py
	$(BIN)/python benchmarks/unbinned.py
	$(BIN)/python benchmarks/simulation.py
	$(BIN)/python benchmarks/published.py
	$(BIN)/python benchmarks/split_gain.py
	$(BIN)/python benchmarks/inference.py
	$(BIN)/python benchmarks/onn.py
	$(BIN)/python benchmarks/onn_vbf.py
	$(BIN)/python benchmarks/networks.py
	$(BIN)/python benchmarks/distill_h4l.py
	$(BIN)/python benchmarks/distill_zh.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/distill_vbf.py

# The searches of distill_vbf.py with PySR; needs Julia.
distill-pysr: .venv/.bench
	$(BIN)/python benchmarks/distill_vbf.py --parts front backends --backend pysr

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy

# The shipped samples; needs the extra "simulate".
data: .venv/.dev
	$(BIN)/bit simulate zh -n 50000 --seed 1 -o data/zh.root
	$(BIN)/bit simulate h4l -n 20000 --seed 1 --params cHWtil,cHBtil,cHWBtil --no-aux -o data/h4l.root
	$(BIN)/bit simulate vbf -n 25000 --seed 1 --fusion all --quarks all --cuts P --params cHW,cHWtil,cHBtil -o data/vbf.root
	$(BIN)/bit simulate wz -n 30000 --seed 1 --cuts boosted -o data/wz.root

.venv/bin/pip:
	$(PYTHON) -m venv .venv

.venv/.core: .venv/bin/pip pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/.dev: .venv/bin/pip pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@ .venv/.core

.venv/.bench: .venv/bin/pip pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[bench]"
	touch $@ .venv/.core

clean:
	rm -rf .venv demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
