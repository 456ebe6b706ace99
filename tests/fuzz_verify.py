"""100,000 mutants of small Mach-O and ELF files, guided by coverage: no crash, no hang, always a verdict.

A program, not a test: `pip install atheris`, then `python tests/fuzz_verify.py FOLDER [runs]`, where FOLDER keeps the
corpus from one run to the next. libFuzzer stops at 300 MB of memory, at ten seconds for one file, at any exception.
tests/verify/test_mutants.py replays what it found interesting (tests/data/corpus.zip), which `--keep FOLDER` writes.
"""

import random
import sys
import zipfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gobuild.binary", "gobuild.codesign", "gobuild.verify", "elftools"]):
    import small
    from mutants import expected_of, scrambled, verdict

CORPUS = Path(__file__).parent / "data/corpus.zip"
MEMORY, SECONDS = 300, 10


def one(data: bytes) -> None:
    """Looks at one file: whatever it holds, there must be a verdict."""
    if not verdict(data, expected_of(data)).checks:
        raise AssertionError("no verdict")


def changed(data: bytes, size: int, seed: int) -> bytes:
    """Half of the mutants are libFuzzer's own, half are those that know where numbers stand."""
    chosen = random.Random(seed)
    return scrambled([data], chosen)[:size] if chosen.random() < 0.5 else atheris.Mutate(data, size)


def keep(folder: Path) -> None:
    """Packs a corpus, each file once, in the order of the names libFuzzer gives them (digests of the contents)."""
    CORPUS.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(CORPUS, "w", zipfile.ZIP_LZMA) as pack:
        for path in sorted(folder.iterdir()):
            pack.writestr(zipfile.ZipInfo(path.name, (1980, 1, 1, 0, 0, 0)), path.read_bytes(), zipfile.ZIP_LZMA)
    print(f"{CORPUS}: {CORPUS.stat().st_size} bytes")


def main(words: list[str]) -> None:
    """Runs libFuzzer, or packs what it left."""
    if words[0] == "--keep":
        keep(Path(words[1]))
        return
    folder = Path(words[0])
    folder.mkdir(parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        for name, data in small.seeds().items():
            (folder / name).write_bytes(data)
    limits = [f"-runs={words[1] if len(words) > 1 else 100_000}", f"-rss_limit_mb={MEMORY}", f"-timeout={SECONDS}"]
    atheris.Setup(
        [sys.argv[0], *limits, "-max_len=65536", "-print_final_stats=1", "-seed=1", str(folder)],
        one,
        custom_mutator=changed,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
