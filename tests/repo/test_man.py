# SPDX-License-Identifier: MIT
"""The manual pages: correct mdoc, all that the code knows and no more, examples that run.

What the code knows is asked of the code: its tables of verbs, keys and fields, typer's
commands, and the names it looks up in the environment.  A block of a page that stands
behind `.\\" file NAME` is a file, one behind `.\\" session` is typed, in the order of
the page, on a host of its own; what comes out has to be what the page shows.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repo.vocabulary import ROOT, codes, constant, modules, of_up, own_verbs
from wgtools import ipc
from wgtools.cli import quick_verbs, views, wg, wg_quick
from wgtools.conf import arguments, quickfile, wgconf
from wgtools.daemon import listener, tun
from wgtools.quick import dns, engines, files, journal, lint, systems

PAGES = {name: ROOT / f"man/{name}.8" for name in ("wg", "wg-quick", "wgtools-engine")}
every_page = pytest.mark.parametrize("name", PAGES)

_SYSTEMS = {
    "linux": "Linux",
    "freebsd": ".Fx",
    "openbsd": ".Ox",
    "netbsd": ".Nx",
    "darwin": "macOS",
    "win32": "Windows",
}


# Reading a page


def text(name: str) -> str:
    return PAGES[name].read_text()


def part(name: str, section: str, subsection: str = "") -> str:
    """The lines of a section, or of one of its subsections."""
    found = re.search(rf"^\.Sh {section}\n(.*?)(?=^\.Sh |\Z)", text(name), re.M | re.S)
    assert found, f"{name} has no section {section}"
    if not subsection:
        return found[1]
    inner = re.search(rf"^\.Ss {subsection}\n(.*?)(?=^\.Ss |\Z)", found[1], re.M | re.S)
    assert inner, f"{section} of {name} has no subsection {subsection}"
    return inner[1]


def words(source: str, macro: str, *, items: bool = False) -> set[str]:
    """What stands behind a macro, up to the next one: in all lines, or as items of lists."""
    found = set()
    for line in source.splitlines():
        if not line.startswith(".") or (items and not line.startswith(f".It {macro} ")):
            continue
        active = False
        for token in line[1:].split():
            if re.fullmatch(r"[A-Z][a-z]", token):
                active = token == macro
            elif active and token not in (",", ".", ":", ";", "(", ")", "|"):
                found.add(token.replace("\\&", "").replace("\\-", "-"))
    return found


def options(source: str) -> set[str]:
    return {f"-{word}" for word in words(source, "Fl")}


# What the code knows


def variables(*places: str) -> set[str]:
    """Names that are looked up in, or put into, an environment."""
    found: set[str] = set()
    for where in places:
        for module in modules(where):
            for node in ast.walk(module):
                found |= set(_looked_up(node))
    return found


def _looked_up(node: ast.AST) -> Iterator[str]:
    inside: list[ast.AST] = []
    if isinstance(node, ast.Constant) and str(constant(node)).startswith(("WG_", "WGTOOLS_")):
        inside = [node]
    elif _tells_a_library(node):
        return
    elif isinstance(node, ast.Call) and re.search(
        r"environ\w*'|'setting'|'_descriptor'", ast.dump(node)
    ):
        inside = [*node.args]
    elif isinstance(node, ast.Compare) and "environ" in ast.dump(node):
        inside = [node.left]
    elif isinstance(node, ast.Subscript | ast.AugAssign):
        target = node.value if isinstance(node, ast.Subscript) else node.target
        if re.search(r"'(os\.)?env(iron)?'", ast.dump(target)):
            value = node.slice if isinstance(node, ast.Subscript) else node.value
            inside = [*value.keys] if isinstance(value, ast.Dict) else [value]  # type: ignore[list-item]  # `**rest` has no key
    for each in inside:
        name = constant(each)
        if isinstance(each, ast.Constant) and re.fullmatch(r"[A-Z][A-Z_]+", name):
            yield name


def _tells_a_library(node: ast.AST) -> bool:
    """`os.environ[NAME] = ...`: not asked of the user.  (What hooks are told is in `env`.)"""
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) == "os.environ.setdefault"
    stored = isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
    return stored and ast.unparse(node).startswith("os.environ[")


# All of it, and no more


def test_verbs_of_wg() -> None:
    known = {verb.decode() for verb in (*wg._VERBS, *wg._HELP, *wg._VERSION)}
    page = words(part("wg", "DESCRIPTION", "Subcommands"), "Cm", items=True) - {"all", "interfaces"}
    assert page | options(text("wg")) == known


def test_fields_and_settings_of_wg() -> None:
    assert words(part("wg", "DESCRIPTION", "Fields"), "Cm", items=True) == set(views.FIELDS)
    known = {word.decode() for word in (*arguments._DEVICE, *arguments._PEER, b"remove")}
    assert words(part("wg", "DESCRIPTION", "Settings"), "Cm", items=True) == known


def test_configuration_keys() -> None:
    of_wg = {key.decode() for key in (*wgconf._INTERFACE_KEYS, *wgconf._PEER_KEYS)}
    of_quick = {*quickfile.HOOKS, *quickfile._LISTS, *quickfile._SINGLES}
    for name, known in (("wg", of_wg), ("wg-quick", of_wg | of_quick)):
        page = words(part(name, "CONFIGURATION FILE"), "Cm", items=True)
        assert {key.lower() for key in page} == known


def test_verbs_and_options_of_wg_quick() -> None:
    own = own_verbs()
    assert {*own} == {*quick_verbs.VERBS} == {*wg_quick._OWN_VERBS}
    known = {*wg_quick._VERBS, *own, wg_quick._MONITOR, "help"}
    verbs = {
        title: words(part("wg-quick", "DESCRIPTION", title), "Cm", items=True)
        for title in ("As the original has them", "Beyond the original")
    }
    assert set().union(*verbs.values()) == known
    assert verbs["As the original has them"] == {*wg_quick._VERBS, "help"} - {wg_quick._MONITOR}
    asked = {word for word in wg_quick._HELP if word.startswith("-")}
    assert options(text("wg-quick")) == set().union(*own.values(), of_up(), asked)
    listed = options("\n".join(re.findall(r"^\.It Fl .*", text("wg-quick"), re.M)))
    assert listed == options(text("wg-quick"))


@pytest.mark.parametrize("verb", ["up", *quick_verbs.VERBS])
def test_synopsis_has_the_options_of_each_verb(verb: str) -> None:
    forms = part("wg-quick", "SYNOPSIS").split(".Nm\n")
    shown = set().union(*(options(form) for form in forms if form.startswith(f".Cm {verb}")))
    assert shown == (of_up() if verb == "up" else own_verbs()[verb] - {"--help"})


def test_options_of_the_engine() -> None:
    (module,) = modules("wgtools/daemon/main.py")
    constants = {constant(node) for node in ast.walk(module) if isinstance(node, ast.Constant)}
    known = {word for word in constants if re.fullmatch(r"--?[a-z]*", word)} - {"-"}
    assert options(text("wgtools-engine")) == known


def test_codes_of_check() -> None:
    page = words(part("wg-quick", "WHAT CHECK FINDS"), "Cm", items=True)
    assert page == codes()
    assert len(page) > 15


def test_variables_are_in_the_page_of_who_reads_them() -> None:
    of_hooks = {"ADDRESSES", "CONFIG_FILE", "DNS", "INTERFACE", "LC_ALL", "MTU", "TABLE"}
    reads = {
        "wg": variables("wgtools/cli", "wgtools/resolve.py", "backends")
        - variables("wgtools/cli/wg_quick.py"),
        "wg-quick": variables("wgtools/quick", "wgtools/cli/wg_quick.py")
        - {"WG_TUN_NAME_FILE"},  # said to the engine
        "wgtools-engine": variables("wgtools/daemon"),
    }
    assert of_hooks < reads["wg-quick"]
    assert len(reads["wg"]) > 3
    assert len(reads["wgtools-engine"]) > 6
    for name, known in reads.items():
        assert known - words(text(name), "Ev") == set(), name
        assert words(text(name), "Ev") - variables("wgtools", "backends") == set(), name


def test_choices_of_variables() -> None:
    shown = words(part("wg-quick", "ENVIRONMENT"), "Cm")
    known = {engines.AUTO, engines.KERNEL, engines.EMBEDDED, *dns._METHODS}
    for platform in systems._KNOWN:
        known |= {*systems.of(platform).dns_methods}
    assert shown == known


def test_members_of_json() -> None:
    known = {
        constant(node)
        for verb in ("plan", "reload", "check", "status")
        for module in (*modules(f"wgtools/cli/quick_{verb}.py"), *modules("wgtools/cli/paper.py"))
        for node in ast.walk(module)
    }
    # Those that are made of a severity: `errors`, and so on.
    known |= {f"{kind}s" for kind in (lint.ERROR, lint.WARNING, lint.NOTE)}
    shown = words(part("wg-quick", "JSON"), "Li")
    assert len(shown) > 10
    assert shown - known == set()


def test_files() -> None:
    named = set()
    for name in PAGES:
        named |= words(part(name, "FILES"), "Pa")
    for place in (files.DIRECTORY, listener.RUNTIME_DIRECTORY, journal.DIRECTORY):
        assert {place, f"{place}/"} & named, place


def test_systems() -> None:
    knows = {
        "wg": ipc._KERNEL,
        "wg-quick": ("linux", *systems._KNOWN),
        "wgtools-engine": tun._SYSTEMS,
    }
    for name, platforms in knows.items():
        said = part(name, "COMPATIBILITY")
        for platform in platforms:
            assert _SYSTEMS[platform] in said, (name, platform)


# Correct mdoc

needs_mandoc = pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not installed")
needs_man = pytest.mark.skipif(not shutil.which("man"), reason="man-db is not installed")


@needs_mandoc
@every_page
def test_mandoc_has_no_remark(name: str) -> None:
    done = subprocess.run(
        ["mandoc", "-T", "lint", PAGES[name]], capture_output=True, text=True, check=False
    )
    # Which other pages are installed is this machine's affair.
    hosts = ("referenced manual not found", "outdated mandoc.db")
    remarks = (done.stdout + done.stderr).splitlines()
    assert [line for line in remarks if not any(about in line for about in hosts)] == []


@needs_man
@every_page
def test_groff_has_no_warning(name: str) -> None:
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", PAGES[name]],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout) > 10_000


# Examples

_PLAIN = {r"\-": "-", r"\e": "\\", r"\(aq": "'", r"\(ga": "`", r"\(ti": "~", r"\(ha": "^"}


def plain(block: str) -> str:
    """A literal block as it is shown."""
    for escape, character in _PLAIN.items():
        block = block.replace(escape, character)
    return block.replace("\\&", "")


def blocks(page: str) -> list[tuple[str, str, str]]:
    """(`file` or `session`, name of the file, the block) in the order of the page."""
    marked = re.findall(r'^\.\\" (file|session) ?(.*)\n\.Bd.*\n((?:.*\n)*?)\.Ed$', page, re.M)
    assert len(marked) == page.count("\n.Bd "), "a block that nobody tries"
    return [(kind, name, plain(block)) for kind, name, block in marked]


def commands(session: str) -> list[tuple[str, str]]:
    """(command, what it prints) of a session; a backslash carries a command on."""
    found: list[tuple[str, str]] = []
    for line in session.splitlines(keepends=True):
        if line.startswith(("# ", "$ ")):
            found.append((line[2:], ""))
        elif found[-1][0].endswith("\\\n"):
            found[-1] = (found[-1][0] + line, "")
        else:
            found[-1] = (found[-1][0], found[-1][1] + line)
    return found


_HOST = """
mount -t tmpfs run /run && mkdir -p /etc/wireguard &&
mount -t tmpfs -o mode=0700 etc /etc/wireguard && ip link set lo up && exec sh ./script 2>&1
"""
_MARK = "\x1e"


def play(page: str, directory: Path) -> list[str]:
    """What each command of the page prints, stdout and stderr together."""
    script = ""
    for number, (kind, name, block) in enumerate(blocks(page)):
        if kind == "file":
            (directory / f"file{number}").write_text(block)
            script += f"cp '{directory}/file{number}' {name}; chmod 600 {name}\n"
        for command, _ in commands(block) if kind == "session" else ():
            script += f"printf '{_MARK}'\n{command}"
    (directory / "script").write_text(script)
    isolated = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    done = subprocess.run(
        ["unshare", *isolated, "sh", "-c", _HOST],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LC_ALL": "C",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'backends'}",
        },
    )
    assert done.stderr == ""
    return done.stdout.split(_MARK)[1:]


def why_not() -> str:
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not os.path.exists("/dev/net/tun"):
        return "no /dev/net/tun"
    return ""


@pytest.mark.skipif(why_not() != "", reason=why_not() or "runs here")
@every_page
def test_examples_print_what_the_page_shows(name: str, tmp_path: Path) -> None:
    page = text(name)
    typed = [
        each for kind, _, block in blocks(page) if kind == "session" for each in commands(block)
    ]
    assert typed
    shown = [output for _, output in typed]
    came = play(page, tmp_path)
    assert list(zip([c for c, _ in typed], came, strict=True)) == list(
        zip([c for c, _ in typed], shown, strict=True)
    )


def test_a_missing_word_would_be_seen() -> None:
    """The reading of pages itself: these would stay silent if it found nothing."""
    page = (
        ".It Cm a , b Ar c\n.It Fl -json , Fl h\n.Op Fl -engine Ns = Ns Ar engine\n.Ev X Ns Li =y\n"
    )
    assert words(page, "Cm", items=True) == {"a", "b"}
    assert options(page) == {"--json", "-h", "--engine"}
    assert words(page, "Ev") == {"X"}
