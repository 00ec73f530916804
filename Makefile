# demo and test set up all they need (a virtual environment in .venv) and work in a fresh clone.
.POSIX:

PYTHON = python3
PREFIX = /usr/local
DESTDIR =
VENV = .venv

.PHONY: demo test bench fuzz soak install clean

demo: $(VENV)/ready
	@$(VENV)/bin/python docs/demo/demo.py

test: $(VENV)/ready
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

bench: $(VENV)/ready
	$(VENV)/bin/python tests/bench/run.py

fuzz: $(VENV)/ready
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check atheris || \
	    echo "without atheris: inputs are changed blindly" >&2
	@$(VENV)/bin/python tests/fuzz/run.py $(FUZZ_TARGETS)

soak: $(VENV)/ready
	@$(VENV)/bin/python tests/soak/run.py

install:
	$(PYTHON) -m pip install --no-deps --ignore-installed --root-user-action=ignore \
	    --root "$(DESTDIR)/" --prefix "$(PREFIX)" .
	$(PYTHON) .ci/isolate "$(DESTDIR)" "$(PREFIX)"

$(VENV)/ready: pyproject.toml .ci/venv
	@PYTHON="$(PYTHON)" .ci/venv "$(VENV)"

clean:
	rm -rf "$(VENV)" build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
