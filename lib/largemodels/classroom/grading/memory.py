"""The notebooks that count, kept from run to run, so that a gradebook grows collection by collection.

A run replaces what it brought before from the same places, and adds to what came from others. Each collection has an
index of its own, and each notebook's bytes lie in a file that is named by them.
"""

import gzip
import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from ...storage import write_whole
from .collecting import File


class Memory:
    """In `folder`, which need not exist yet."""

    def __init__(self, folder: Path):
        self.folder = folder

    def put(self, place: Path, system: str, files: Iterable[tuple[str, File]]) -> None:
        """Remember the files of one collection that count, with their chapters; forget what it had before."""
        entries = []
        for chapter, file in files:
            name = hashlib.sha256(file.data).hexdigest()
            if not (path := self._data(name)).exists():
                write_whole(path, gzip.compress(file.data, 1, mtime=0))
            entries.append(asdict(replace(file, data=b"")) | {"data": name, "chapter": chapter})
        content = {"place": str(place.resolve()), "system": system, "files": entries}
        write_whole(self._index(place), json.dumps(content, indent=1).encode())

    def others(self, places: Iterable[Path]) -> list[tuple[str, list[File]]]:
        """What came from other places than these in earlier runs: for each its system, and its files."""
        now = {self._index(place) for place in places}
        return [
            (content["system"], [self._file(entry) for entry in content["files"]])
            for path, content in self._contents()
            if path not in now
        ]

    def chapters(self) -> set[str]:
        """Those of which anything was ever graded here."""
        return {entry["chapter"] for _, content in self._contents() for entry in content["files"]} - {""}

    def forget(self, places: Iterable[Path]) -> None:
        """Forget all collections but these, and the notebooks that nobody refers to any more."""
        keep = {self._index(place) for place in places}
        for path, _ in self._contents():
            if path not in keep:
                path.unlink()
        self.tidy()

    def tidy(self) -> None:
        """Remove the bytes of notebooks that no collection refers to."""
        used = {entry["data"] for _, content in self._contents() for entry in content["files"]}
        for path in self.folder.glob("*.gz"):
            if path.stem not in used:
                path.unlink()

    def _contents(self) -> list[tuple[Path, dict]]:
        found = []
        for path in sorted(self.folder.glob("*.collection")):
            with suppress(OSError, ValueError):
                found.append((path, json.loads(path.read_text(encoding="utf-8"))))
        return found

    def _index(self, place: Path) -> Path:
        return self.folder / f"{hashlib.sha256(str(place.resolve()).encode()).hexdigest()[:16]}.collection"

    def _data(self, name: str) -> Path:
        return self.folder / f"{name}.gz"

    def _file(self, entry: dict) -> File:
        fields = {name: value for name, value in entry.items() if name != "chapter"}
        try:
            return File(**fields | {"data": gzip.decompress(self._data(entry["data"]).read_bytes())})
        except (OSError, EOFError, ValueError) as error:
            return File(**fields | {"data": b"", "problem": f"the copy of an earlier run is damaged: {error}"})
