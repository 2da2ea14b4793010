"""Bring the course up to date and keep what its reader did: ``python course.py update``.

Git alone merges lines, and leaves ``<<<<<<<`` in a notebook that was worked in. Here notebooks are merged cell by cell:
answers and the reader's own cells stay byte for byte, all else is as it is upstream. What was changed on this machine is
copied to ``copies/`` first. The steps can be repeated, and what is being done is noted in the ``.git`` folder: after a
kill at any moment the same command goes on from there.

It needs Python and git, and nothing that is installed with the course, since an update may be what repairs that. Only
the language in which it speaks comes from the library, if that can be read.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
try:
    from largemodels.language import of_machine, say, use_language
except (ImportError, SyntaxError):  # what is to be repaired

    def say(message: str, /, **values: object) -> str:
        return message.format(**values) if values else message

    def of_machine() -> str:
        return "en"

    def use_language(code: str) -> None:
        pass


COURSE = Path(__file__).resolve().parents[3]
NOTE = "course-update.json"  # in the .git folder: the update that is under way
UNFINISHED = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")


class CannotUpdate(Exception):
    """Why nothing was changed; the message says what to do."""


# ---------------------------------------------------------------------------------------------------------- notebooks


@dataclass(frozen=True)
class Cell:
    """A cell as its file spells it."""

    text: str

    @cached_property
    def content(self) -> dict:
        return json.loads(self.text)

    @property
    def id(self) -> str | None:
        return self.content.get("id")

    @property
    def grade_id(self) -> str | None:
        """The name by which a cell of an exercise is known even where a program dropped the ids: ``answer-1-2``."""
        nbgrader = self.content.get("metadata", {}).get("nbgrader", {})
        return nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None

    @cached_property
    def source(self) -> str:
        source = self.content.get("source", "")
        text = source if isinstance(source, str) else "".join(source)
        return text.replace("\r\n", "\n").rstrip()


def cells_of(text: str) -> tuple[str, list[Cell], str]:
    """The text of a notebook before its cells, the cells, and the text behind them.

    Raises:
        ValueError: it is no notebook of version 4 of the format.
    """
    decoder, at = json.JSONDecoder(), _blank(text, 0)
    if text[at : at + 1] != "{":
        raise ValueError(say("not a notebook"))
    while text[at] in "{,":
        key, at = decoder.raw_decode(text, _blank(text, at + 1))
        at = _blank(text, _blank(text, at) + 1)  # behind the colon
        if key == "cells" and text[at] == "[":
            begin, cells, at = at + 1, [], at
            while text[at] in "[," and text[(start := _blank(text, at + 1))] != "]":
                content, end = decoder.raw_decode(text, start)
                if not isinstance(content, dict):
                    raise ValueError(say("a cell that is no object"))
                cells.append(Cell(text[start:end]))
                at = _blank(text, end)
            return text[:begin], cells, text[_blank(text, at if cells else at + 1) :]
        _, at = decoder.raw_decode(text, at)
        at = _blank(text, at)
    raise ValueError(say("a notebook without cells"))


def _blank(text: str, at: int) -> int:
    """The place of the next character that is no white space.

    Raises:
        ValueError: there is none, the file is cut off.
    """
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    if at >= len(text):
        raise ValueError(say("the file is cut off"))
    return at


def merged(base: bytes | None, mine: bytes, theirs: bytes) -> bytes:
    """`theirs`, with the answers and the own cells of `mine`; `base` is what both come from.

    Raises:
        ValueError: one of them is no notebook.
    """
    before, new, behind = cells_of(theirs.decode("utf-8"))
    _, own, _ = cells_of(mine.decode("utf-8-sig"))
    old = cells_of(base.decode("utf-8"))[1] if base else []
    names = _names(own, old, new)
    was, now = ({cell.id: cell for cell in cells if cell.id} for cells in (old, new))

    kept: dict[str, Cell] = {}  # in the place of a new cell
    added: dict[str | None, list[Cell]] = {}  # behind a new cell; None: before all
    for i, cell in enumerate(own):
        name = names[i]
        if name and _is_untouched(cell, was.get(name), now.get(name)):
            continue
        if name in now and (_is_answer(now[name]) or (name in was and now[name].source == was[name].source)):
            kept[name] = cell
        else:  # of the reader's own, or a given cell that both sides changed: both stay
            spare = replace(cell, text=_renamed(cell)) if name in now else cell
            added.setdefault(name if name in now else _anchor(i, names, new), []).append(spare)
    if not kept and not added:
        return theirs
    texts = [cell.text for cell in added.get(None, [])]
    for cell in new:
        texts += [kept.get(cell.id, cell).text, *(spare.text for spare in added.get(cell.id, []))]
    return (before + "\n  " + ",\n  ".join(texts) + "\n " + behind).encode("utf-8")


def _names(own: list[Cell], old: list[Cell], new: list[Cell]) -> list[str | None]:
    """For each of the reader's cells the id of the given cell that it is; None for one of their own."""
    given = [cell for cell in (*new, *old) if cell.id]
    ids = {cell.id for cell in given}
    names: list[str | None] = [cell.id if cell.id in ids else None for cell in own]
    ways = (
        {cell.grade_id: cell.id for cell in given if cell.grade_id},
        {cell.source: cell.id for cell in old if cell.id},
    )
    for way, key in zip(ways, (lambda cell: cell.grade_id, lambda cell: cell.source), strict=True):
        for i, cell in enumerate(own):  # programs that drop the ids, or give new ones
            name = way.get(key(cell))
            if names[i] is None and name and name not in names:
                names[i] = name
    return [name if name not in names[:i] else None for i, name in enumerate(names)]


def _is_untouched(cell: Cell, was: Cell | None, now: Cell | None) -> bool:
    return any(given is not None and cell.source == given.source for given in (was, now))


def _is_answer(cell: Cell) -> bool:
    return (cell.grade_id or cell.id or "").startswith("answer-")


def _anchor(i: int, names: list[str | None], new: list[Cell]) -> str | None:
    """The new cell behind which the reader's cell `i` belongs: behind the one that it followed or, if that is gone,
    before the one that followed it, or behind the nearest one before."""
    ids = [cell.id for cell in new]
    before = [name for name in names[:i] if name]
    following = next((name for name in names[i + 1 :] if name in ids), None)
    if before and before[-1] not in ids and following:
        at = ids.index(following)
        return ids[at - 1] if at else None
    return next((name for name in reversed(before) if name in ids), None)


def _renamed(cell: Cell) -> str:
    return json.dumps({**cell.content, "id": f"{cell.id or 'cell'}-yours"[:64]}, ensure_ascii=False, indent=1)


# ------------------------------------------------------------------------------------------------------------ the clone


@dataclass
class Clone:
    """The reader's clone of the course."""

    root: Path

    def git(self, *arguments: str, input: bytes | None = None, index: Path | None = None) -> bytes:
        """What git prints.

        Raises:
            CannotUpdate: it fails.
        """
        environment = dict(os.environ, LC_ALL="C", **({"GIT_INDEX_FILE": str(index)} if index else {}))
        command = ["git", "-C", str(self.root), *arguments]
        done = subprocess.run(command, input=input, capture_output=True, env=environment)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise CannotUpdate(say("git {command} failed: {reason}", command=arguments[0], reason=said))
        return done.stdout

    def commit(self, name: str) -> str | None:
        try:
            return self.git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").decode().strip()
        except CannotUpdate:
            return None

    @cached_property
    def folder(self) -> Path:
        return Path(self.git("rev-parse", "--absolute-git-dir").decode().strip())

    def file(self, commit: str, path: str) -> bytes:
        """A file as it would lie on the disk."""
        return self.git("cat-file", "--filters", f"{commit}:{path}")

    def differences(self, *commits: str) -> dict[str, tuple[str, str]]:
        """For each path that differs between two commits, or a commit and the disk: the new mode, and A, M or D."""
        words = self.git("diff", "--raw", "--no-renames", "--abbrev=40", "-z", *commits).decode(
            "utf-8", "surrogateescape"
        )
        parts = words.split("\0")
        return {
            path: (facts.split()[1], facts.split()[4]) for facts, path in zip(parts[::2], parts[1::2], strict=False)
        }

    def is_ancestor(self, one: str, other: str) -> bool:
        return self.git("merge-base", one, other).decode().strip() == one

    def identity(self) -> list[str]:
        """Git refuses to commit for somebody without a name."""
        try:
            self.git("var", "GIT_COMMITTER_IDENT")
            return []
        except CannotUpdate:
            return ["-c", "user.name=reader", "-c", "user.email=reader@localhost"]


def write(path: Path, data: bytes, mode: str = "100644") -> None:
    """Replace a file at once: it is the old one or the new one, whenever this program is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        if mode == "100755":
            part.chmod(0o755)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


# -------------------------------------------------------------------------------------------------------------- updating


def update(root: Path) -> Iterator[str]:
    """Do it, and say what was done.

    Raises:
        CannotUpdate: nothing was changed.
    """
    clone = Clone(root)
    _refuse_what_is_no_clone(clone)
    note = clone.folder / NOTE
    if note.exists():
        yield say("An update was interrupted; it is finished first.")
        (clone.folder / "index.lock").unlink(missing_ok=True)  # what was killed with it may have left it
        yield from _carry_out(clone, **json.loads(note.read_text(encoding="utf-8")))
        note.unlink()
    clone.git("fetch", "--quiet")
    target, head = clone.commit("@{upstream}"), clone.commit("HEAD")
    if not target or not head:
        raise CannotUpdate(
            say(
                "This branch follows none of the course's. Say which one, and then again:\n"
                "  git branch --set-upstream-to=origin/main"
            )
        )
    base = clone.git("merge-base", head, target).decode().strip()
    if base == target:
        yield say("The course is up to date.")
        return
    plan = {"base": base, "target": target, "copies": f"copies/{time.strftime('%Y-%m-%d-%H%M%S')}"}
    write(note, json.dumps(plan).encode())
    yield from _carry_out(clone, **plan)
    note.unlink()


def _refuse_what_is_no_clone(clone: Clone) -> None:
    if not shutil.which("git"):
        raise CannotUpdate(say("git is not installed, or not on the PATH: get it from git-scm.com, and then again."))
    try:
        top = Path(os.fsdecode(clone.git("rev-parse", "--show-toplevel")).strip())
    except CannotUpdate as error:
        if "not a git repository" not in str(error):
            raise
        top = None
    if top is None or not top.samefile(clone.root):
        raise CannotUpdate(
            say(
                "{folder} is no clone of the course, so there is nothing to fetch. Unpack the newer course into a\n"
                "folder of its own, and copy what you worked in, your notebooks in exercises/, beside it.",
                folder=clone.root,
            )
        )
    if any((clone.folder / name).exists() for name in UNFINISHED) or clone.git("ls-files", "--unmerged"):
        raise CannotUpdate(
            say(
                "git is in the middle of a merge or a rebase here, which must come to an end first: `git status` says "
                "how.\nIf you began none, copy what you worked in to a folder elsewhere, then give  git merge --abort  or\n"
                "git rebase --abort , and then this again."
            )
        )


def _carry_out(clone: Clone, base: str, target: str, copies: str) -> Iterator[str]:
    """From `base` to `target`. Whatever part of it has been done before is left as it is."""
    upstream, here = clone.differences(base, target), clone.differences(base)
    changed = [path for path, (_, status) in upstream.items() if _is_changed_here(clone, path, status, target, here)]
    for path in sorted({*changed, *(path for path in here if path not in upstream)}):
        if (clone.root / path).is_file() and not (copy := clone.root / copies / path).exists():
            write(copy, (clone.root / path).read_bytes())
    if (clone.root / copies).exists():
        yield say("A copy of what you had changed is in {folder}.", folder=copies)
    for path, (mode, status) in upstream.items():
        if path in changed:
            yield from _bring_together(clone, path, mode, status, base, target, copies)
        elif status == "D":
            (clone.root / path).unlink(missing_ok=True)
        else:
            _replace(clone.root / path, clone.file(target, path), mode)
    clone.git("reset", "--quiet", "--mixed", _joined(clone, base, target))
    yield say(
        "The course is up to date: {count} files are new or corrected. Reload notebooks that are open.",
        count=len(upstream),
    )


def _is_changed_here(clone: Clone, path: str, status: str, target: str, here: dict) -> bool:
    """Whether a file on the disk is neither what it was nor what it shall be."""
    file = clone.root / path
    may_be = file.is_file() and (path in here or status == "A")
    return may_be and file.read_bytes() != _or_nothing(clone, target, path)


def _or_nothing(clone: Clone, commit: str, path: str) -> bytes | None:
    try:
        return clone.file(commit, path)
    except CannotUpdate:
        return None


def _replace(path: Path, data: bytes, mode: str) -> None:
    if not path.is_file() or path.read_bytes() != data:
        write(path, data, mode)


def _bring_together(
    clone: Clone, path: str, mode: str, status: str, base: str, target: str, copies: str
) -> Iterator[str]:
    """A file that was changed on both sides."""
    if status == "D":
        yield say("{path} is no longer part of the course; yours stays.", path=path)
        return
    mine, old, new = (clone.root / path).read_bytes(), _or_nothing(clone, base, path), clone.file(target, path)
    try:
        made = merged(old, mine, new) if path.endswith(".ipynb") else _merged_lines(clone, old, mine, new)
    except ValueError as error:
        yield say(
            "{path} is the course's again, since yours could not be merged with it ({reason}); yours is in {folder}.",
            path=path,
            reason=error,
            folder=copies,
        )
        made = new
    _replace(clone.root / path, made, mode)


def _merged_lines(clone: Clone, base: bytes | None, mine: bytes, theirs: bytes) -> bytes:
    """A text in which both sides changed different lines.

    Raises:
        ValueError: they changed the same ones.
    """
    files = [clone.folder / f"{NOTE}.{name}" for name in ("mine", "base", "theirs")]
    try:
        for file, data in zip(files, (mine, base or b"", theirs), strict=True):
            file.write_bytes(data)
        return clone.git("merge-file", "-p", "--quiet", *map(str, files))
    except CannotUpdate:
        raise ValueError(say("both sides changed the same lines")) from None
    finally:
        for file in files:
            file.unlink(missing_ok=True)


def _joined(clone: Clone, base: str, target: str) -> str:
    """The commit to stand on: the course's own or, where the reader has committed, one that joins both."""
    head = clone.commit("HEAD")
    if head == base:
        return target
    if clone.is_ancestor(target, head):  # an interrupted update came as far as this
        return head
    index = clone.folder / f"{NOTE}.index"
    try:
        clone.git("read-tree", target, index=index)
        paths = "\0".join(clone.differences(base, head)).encode("utf-8", "surrogateescape")
        clone.git("update-index", "--add", "--remove", "-z", "--stdin", input=paths, index=index)
        tree = clone.git("write-tree", index=index).decode().strip()
    finally:
        index.unlink(missing_ok=True)
    message = "Update of the course"
    made = clone.git(*clone.identity(), "commit-tree", tree, "-p", head, "-p", target, "-m", message)
    return made.decode().strip()


def main(arguments: Sequence[str]) -> int:
    if arguments:
        print(say("python course.py update  takes no arguments"), file=sys.stderr)
        return 2
    try:
        for sentence in update(COURSE):
            print(sentence, flush=True)
    except (CannotUpdate, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        told = say("Stopped. Nothing is lost: the same command, given again, goes on from there.")
        print(f"\n{told}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    use_language(of_machine())
    sys.exit(main(sys.argv[1:]))
