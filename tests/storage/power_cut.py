"""What a power cut may leave of a folder: of each page and each file the one state or another."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

PAGE_BYTES = 4096

#: What is left as it is: it was brought to the disk by itself, and is replaced as a whole.
_SAFE = ("checkpoint", "version", "lock", "lock.mdb")


def leave(states: list[Path], into: Path, random: Random) -> None:
    """Make a folder as a power cut leaves it.

    :param states: copies of the folder: the first one is what was on stable storage, the last one is
        what processes saw at the end.
    """
    shutil.copytree(states[0], into)
    _mix_file([state / "index" / "data.mdb" for state in states], into / "index/data.mdb", random)
    for path in sorted(_files(states[-1]) - _files(states[0])):
        if random.random() < 0.8:
            (into / path).parent.mkdir(parents=True, exist_ok=True)
            (into / path).write_bytes(_torn((states[-1] / path).read_bytes(), random))
    for path in sorted(_files(states[0]) - _files(states[-1])):
        if random.random() < 0.5:
            (into / path).unlink()


def _mix_file(versions: list[Path], into: Path, random: Random) -> None:
    """Each page of a file that is written in place is of some time since it was on the disk."""
    contents = [path.read_bytes() for path in versions]
    length = random.choice([len(contents[0]), len(contents[-1])])
    pages = []
    for start in range(0, length, PAGE_BYTES):
        page = random.choice(contents)[start : start + PAGE_BYTES]
        pages.append(page.ljust(PAGE_BYTES, b"\0"))
    into.write_bytes(b"".join(pages))


def _torn(data: bytes, random: Random) -> bytes:
    """What delayed allocation leaves of a file that was not waited for."""
    whole, short, empty, zeros = data, data[: len(data) // 2], b"", bytes(len(data))
    return random.choice([whole, whole, short, empty, zeros])


def _files(folder: Path) -> set[Path]:
    return {
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and path.parts[-2] != "index" and path.name not in _SAFE
    }
