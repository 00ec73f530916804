# demo and test set up all they need (a virtual environment in .venv) and work in a fresh clone.
.POSIX:

PYTHON = python3
PREFIX = /usr/local
DESTDIR =
VENV = .venv

# Where a system's shells look; Debian's zsh: ZSHDIR=/usr/share/zsh/vendor-completions
BASHDIR = $(PREFIX)/share/bash-completion/completions
ZSHDIR = $(PREFIX)/share/zsh/site-functions
FISHDIR = $(PREFIX)/share/fish/vendor_completions.d
MANDIR = $(PREFIX)/share/man/man8

.PHONY: demo test bench fuzz soak install install-data uninstall clean

demo: $(VENV)/ready
	@$(VENV)/bin/python docs/demo/demo.py

test: $(VENV)/ready
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

bench: $(VENV)/ready
	$(VENV)/bin/python tests/bench/run.py $(BENCH_ARGS)

fuzz: $(VENV)/ready
	@$(VENV)/bin/python -m pip install -q --disable-pip-version-check atheris || \
	    echo "without atheris: inputs are changed blindly" >&2
	@$(VENV)/bin/python tests/fuzz/run.py $(FUZZ_TARGETS)

soak: $(VENV)/ready
	@$(VENV)/bin/python tests/soak/run.py

install:
	$(PYTHON) -I packaging/install "$(DESTDIR)" "$(PREFIX)"
	$(PYTHON) .ci/isolate "$(DESTDIR)" "$(PREFIX)"
	@$(MAKE) install-data

uninstall:
	$(PYTHON) -I packaging/install --remove "$(DESTDIR)" "$(PREFIX)"
	for file in man/*; do rm -f "$(DESTDIR)$(MANDIR)/$${file##*/}"; done
	for file in completions/bash/*; do rm -f "$(DESTDIR)$(BASHDIR)/$${file##*/}"; done
	for file in completions/zsh/*; do rm -f "$(DESTDIR)$(ZSHDIR)/$${file##*/}"; done
	for file in completions/fish/*; do rm -f "$(DESTDIR)$(FISHDIR)/$${file##*/}"; done

# Manual pages and completions, for packages that install the commands in another way too.
install-data:
	mkdir -p "$(DESTDIR)$(MANDIR)" "$(DESTDIR)$(BASHDIR)" "$(DESTDIR)$(ZSHDIR)" \
	    "$(DESTDIR)$(FISHDIR)"
	cp man/*.8 "$(DESTDIR)$(MANDIR)/"
	cp completions/bash/* "$(DESTDIR)$(BASHDIR)/"
	cp completions/zsh/* "$(DESTDIR)$(ZSHDIR)/"
	cp completions/fish/* "$(DESTDIR)$(FISHDIR)/"
	cd "$(DESTDIR)$(MANDIR)" && chmod 644 wg.8 wg-quick.8 wgtools-engine.8
	cd "$(DESTDIR)$(BASHDIR)" && chmod 644 wg wg-quick wgtools-engine
	cd "$(DESTDIR)$(ZSHDIR)" && chmod 644 _wg _wg-quick _wgtools-engine
	cd "$(DESTDIR)$(FISHDIR)" && chmod 644 wg.fish wg-quick.fish wgtools-engine.fish

$(VENV)/ready: pyproject.toml .ci/venv
	@PYTHON="$(PYTHON)" .ci/venv "$(VENV)"

clean:
	rm -rf "$(VENV)" build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
