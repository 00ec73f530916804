# SPDX-License-Identifier: MIT
"""`make fuzz`: every target for its share of the time, guided by coverage if atheris is here.

    python tests/fuzz/run.py [NAME ...]      FUZZ_SECONDS (600) and FUZZ_DIR from the environment
    python tests/fuzz/run.py NAME FILE       that input once more

Each target runs in a process of its own.  What it finds is kept in FUZZ_DIR
(.hypothesis/fuzz): inputs that reach new code in `NAME/`, an input that broke something as
`NAME-crash-*`.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from hashlib import sha1
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "backends")]

HAS_ATHERIS = importlib.util.find_spec("atheris") is not None


def main(words: list[str]) -> int:
    if words[:1] == ["--one"]:
        return one(words[1], float(words[2]), Path(words[3]))
    from tests.fuzz.catalogue import TARGETS

    if len(words) == 2 and words[0] in TARGETS and Path(words[1]).is_file():
        TARGETS[words[0]].run(Path(words[1]).read_bytes())
        print("nothing is wrong with it")
        return 0
    unknown = [word for word in words if word not in TARGETS]
    if unknown:
        print(f"no such target: {', '.join(unknown)}\n\nhint: there are {', '.join(TARGETS)}")
        return 1
    names = words or list(TARGETS)
    share = max(1.0, float(os.environ.get("FUZZ_SECONDS", "600")) / len(names))
    directory = Path(os.environ.get("FUZZ_DIR", ROOT / ".hypothesis/fuzz"))
    guided = "guided by coverage (atheris)" if HAS_ATHERIS else "not guided: atheris is not here"
    print(f"{len(names)} targets, {share:.0f} s each, {guided}", flush=True)
    failed = []
    for name in names:
        command = [sys.executable, __file__, "--one", name, str(share), str(directory)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).strip().splitlines()
        print(f"{name:<14} {_closing(lines)}", flush=True)
        if done.returncode:
            failed.append(name)
            print("\n".join(lines[-40:]))
    if failed:
        print(f"broken: {', '.join(failed)}; the inputs are in {directory}")
    return int(bool(failed))


def _closing(lines: list[str]) -> str:
    """The last line that says how much was tried."""
    told = [line for line in lines if line.startswith(("tried ", "Done ", "#"))]
    return told[-1] if told else "(said nothing)"


def one(name: str, seconds: float, directory: Path) -> int:
    corpus = directory / name
    corpus.mkdir(parents=True, exist_ok=True)
    if HAS_ATHERIS:
        return guided(name, seconds, directory, corpus)
    from tests.fuzz.catalogue import TARGETS
    from tests.fuzz.mutator import inputs

    target = TARGETS[name]
    kept = tuple(path.read_bytes() for path in sorted(corpus.iterdir()))
    end = time.monotonic() + seconds
    tried = 0
    for data in inputs(target.seeds + kept, target.tokens, int(time.time())):
        try:
            target.run(data)
        except BaseException:
            path = directory / f"{name}-crash-{sha1(data).hexdigest()}"
            path.write_bytes(data)
            print(f"broken by {path}")
            raise
        tried += 1
        if time.monotonic() > end:
            break
    print(f"tried {tried} inputs")
    return 0


def guided(name: str, seconds: float, directory: Path, corpus: Path) -> int:
    import atheris

    with atheris.instrument_imports(include=["wgtools", "wgtools_backends"]):
        from tests.fuzz.catalogue import TARGETS
    target = TARGETS[name]
    for seed in target.seeds:
        (corpus / sha1(seed).hexdigest()).write_bytes(seed)
    dictionary = directory / f"{name}.words"
    lines = ['"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in target.tokens]
    dictionary.write_text("\n".join(lines) + "\n")
    options = [
        f"-max_total_time={max(1, round(seconds))}",
        f"-artifact_prefix={directory}/{name}-",
        f"-dict={dictionary}",
        "-max_len=4096",
        "-timeout=30",
        "-rss_limit_mb=1024",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.run)
    atheris.Fuzz()  # ends the process
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
