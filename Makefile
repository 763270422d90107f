# Set-up needs no other command than these; everything lands in .venv and build/.

PYTHON ?= python3
NATIVE := $(wildcard native/*.c native/*.h native/*.py)
READY := .venv/.ready-run
READY_TEST := .venv/.ready-test
SEED ?= 1
# Test processes: one more than processors, because tests also wait for servers.
JOBS ?= $(shell n=$$(nproc); echo $$((n < 4 ? n + 1 : 4)))

# An environment that does not run any more (the clone was moved, the system's Python replaced) is made again.
RUNS := $(shell .venv/bin/walbc -h >/dev/null 2>&1 || rm -f $(READY) $(READY_TEST))

# Without it every start of a program, and each test process, would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

# Where `make install` puts the programs, and a folder before it for those who make packages.
PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: help demo test test-long bench check install uninstall package clean

help:
	@echo "make demo       watch a file system being backed up and restored (KEEP=1 leaves the group running)"
	@echo "make test       the tests, at most 10 minutes (SEED=n for another sample)"
	@echo "make test-long  all of every test, logged in docs/long-runs.md"
	@echo "make bench      side-by-side timings (ONLY=pattern for some)"
	@echo "make check      ruff and mypy alone"
	@echo "make install    as root: programs, units, man pages, completions below PREFIX=/usr/local (DESTDIR= for packagers)"
	@echo "make uninstall  removes exactly these again"
	@echo "make package    wheel, sdist and Debian package in build/dist"

$(READY): pyproject.toml setup.py $(NATIVE) scripts/prepare.sh
	@PYTHON=$(PYTHON) scripts/prepare.sh run
	@touch $@

$(READY_TEST): pyproject.toml setup.py $(NATIVE) scripts/prepare.sh
	@PYTHON=$(PYTHON) scripts/prepare.sh test
	@touch $@ $(READY)

demo: $(READY)
	@.venv/bin/python -m demo $(if $(KEEP),--keep)

check: $(READY_TEST)
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check -q .
	@.venv/bin/mypy

test: check
	@.venv/bin/python -m pytest -p no:cacheprovider -n $(JOBS) --dist loadfile --no-loadscope-reorder \
	    --randomly-seed=$(SEED) --hypothesis-seed=$(SEED) -m "not long"

test-long: check
	@.venv/bin/python scripts/test_long.py

bench: $(READY_TEST)
	@.venv/bin/python -m bench $(if $(ONLY),--only "$(ONLY)")

# As root these leave nothing in the clone.
install:
	@PYTHON=$(PYTHON) scripts/prepare.sh tools
	@PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m installation install --prefix "$(PREFIX)" --destdir "$(DESTDIR)"

uninstall:
	@PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m installation uninstall --prefix "$(PREFIX)" --destdir "$(DESTDIR)"

package:
	@PYTHON=$(PYTHON) scripts/prepare.sh tools
	@PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m installation package

clean:
	rm -rf .venv build walbd/_core.*.so walbd/_core.c *.egg-info
