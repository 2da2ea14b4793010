"""A checkpoint's files: finding them in a folder or on the Hugging Face Hub, reading them safely, writing them."""

import codecs
import json
import os
import pickle
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from largemodels.storage import replacing

CONFIG = "config.json"
# In this order: safetensors hold nothing but numbers.
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)

# ------------------------------------------------------------------------------------------------------------- finding


def downloaded(repository: str) -> Path | None:
    """The folder into which someone has put a repository's files by hand, if there is one.

    It is named like the repository, "gpt2" or "openai-community/gpt2", and lies in the folder that the environment
    variable LARGEMODELS_WEIGHTS names, or else in a folder "weights": here, or in one of the two folders above.
    """
    told = os.environ.get("LARGEMODELS_WEIGHTS")
    for folder in [Path(told)] if told else [Path(*up, "weights") for up in ((), ("..",), ("..", ".."))]:
        for name in (repository, repository.rpartition("/")[2]):
            if (folder / name / CONFIG).is_file():
                return folder / name
    return None


def on_this_machine(repository: str) -> bool:
    """Whether `load` finds a repository without a network: put into a folder by hand, or left by an earlier download."""
    from huggingface_hub import try_to_load_from_cache

    return downloaded(repository) is not None or isinstance(try_to_load_from_cache(repository, CONFIG), str)


class Source:
    """Where files come from: a folder, or a repository of the Hugging Face Hub, of which only those asked for are fetched.

    Raises:
        FileNotFoundError: what is neither a folder nor a name that a repository can have.
    """

    def __init__(self, folder_or_repo_id: str | os.PathLike):
        self.name = os.fspath(folder_or_repo_id)
        self.folder = Path(self.name) if Path(self.name).is_dir() else None
        self.revision: str | None = None  # of the repository; that of the first file holds for all others
        self.reachable = True  # until the first attempt fails
        if self.folder is None and not (isinstance(folder_or_repo_id, str) and self._may_be_repository()):
            raise FileNotFoundError(f"there is no folder {self.name}; give the folder that holds {CONFIG}")
        if self.folder is None:
            self.folder = downloaded(self.name)

    def _may_be_repository(self) -> bool:
        from huggingface_hub.utils import HFValidationError, validate_repo_id

        try:
            validate_repo_id(self.name)
        except HFValidationError:
            return False
        return True

    def first(self, *names: str) -> Path | None:
        """The first of the files called `names` that exists; None if none does."""
        if self.folder is not None:
            return next((self.folder / name for name in names if (self.folder / name).is_file()), None)
        unreachable = None
        for name in names:
            try:
                path = self._download(name)
            except ConnectionError as error:  # a later one may be there from an earlier download
                unreachable, self.reachable = error, False
                continue
            if path is not None:
                self.revision = path.parent.name  # a download lies in a folder named after the revision
                return path
        if unreachable is not None:
            raise unreachable
        return None

    def optional(self, name: str) -> Path | None:
        """A file that need not be there: one that an earlier download did not leave is not asked for without a network."""
        try:
            return self.first(name)
        except ConnectionError:
            return None

    def _download(self, name: str) -> Path | None:
        """The file that an earlier download left; else from the Hub, with a progress bar, resumed if interrupted."""
        from huggingface_hub import hf_hub_download, try_to_load_from_cache
        from huggingface_hub.errors import GatedRepoError, RemoteEntryNotFoundError, RepositoryNotFoundError

        left = try_to_load_from_cache(self.name, name, revision=self.revision)
        if left is not None:  # that a file does not exist is left, too, as something that is no path
            return Path(left) if isinstance(left, str) else None
        try:
            return Path(hf_hub_download(self.name, name, revision=self.revision, local_files_only=not self.reachable))
        except RemoteEntryNotFoundError:
            return None
        except GatedRepoError as error:
            raise PermissionError(
                f"the repository {self.name} asks its readers to accept its terms first: do so on its page, then log in "
                "with `hf auth login`"
            ) from error
        except RepositoryNotFoundError as error:
            raise FileNotFoundError(
                f"there is no folder {self.name} here and no repository of this name on the Hugging Face Hub"
            ) from error
        except OSError as error:
            raise ConnectionError(
                f"there is no folder {self.name} here and the Hugging Face Hub cannot be reached: on a machine with a "
                f"network download {CONFIG}, model.safetensors and tokenizer.json from the page of {self.name}, put "
                f"them into one folder on this machine, and give that folder, or call it "
                f"{Path('weights') / self.name.rpartition('/')[2]}"
            ) from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ValueError: anything else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))  # some editors put a mark at the beginning
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}); {damaged(path)}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} must hold a JSON object, {{…}}, got {type(found).__name__}; {damaged(path)}")
    if {*found} == {"error"} and (instead := mistaken(path)):
        raise ValueError(f"{path} is not what its name says; {instead}")
    return found


# ------------------------------------------------------------------------------------------------------------- reading


class Header(NamedTuple):
    """What is known of a tensor before it is read."""

    file: Path
    shape: tuple[int, ...]
    is_float: bool


class Checkpoint:
    """The tensors of one or more files. One file is open at a time, mapped into memory and not copied.

    Attributes:
        headers: by name.

    Raises:
        FileNotFoundError: no weights, or a shard is missing.
        ValueError: a damaged file, a file with something other than tensors in it, a tensor that stands in two files.
    """

    def __init__(self, source: Source):
        path = source.first(*WEIGHTS)
        if path is None:
            raise FileNotFoundError(f"{source.name} holds no weights; one of these must be there: {', '.join(WEIGHTS)}")
        self._open: tuple[Path, Any] = (Path(), None)
        self.headers: dict[str, Header] = {}
        index = self._index(path) if path.name.endswith(".index.json") else None
        shards = [path] if index is None else self._find_shards(source, path, sorted(set(index.values())))
        for shard in shards:
            for name, header in self._read_headers(shard):
                if name in self.headers:
                    raise ValueError(f"{name} stands in both {self.headers[name].file} and {shard}")
                self.headers[name] = header
        for name, shard in (index or {}).items():
            if name not in self.headers or self.headers[name].file.name != shard:
                raise ValueError(f"{path} says that {shard} holds {name}, but it does not")

    def _index(self, path: Path) -> dict[str, str]:
        """Which shard holds which tensor."""
        found = read_json(path).get("weight_map")
        if not isinstance(found, dict) or not found or not all(isinstance(name, str) for name in found.values()):
            raise ValueError(f"{path}: weight_map must give the file's name for each tensor")
        suffix = ".safetensors" if ".safetensors" in path.name else ".bin"
        for shard in found.values():
            if Path(shard).name != shard or "\\" in shard or not shard.endswith(suffix):
                raise ValueError(f"{path}: weight_map names {shard!r}, which is not a {suffix} file in the same folder")
        return found

    def _find_shards(self, source: Source, path: Path, names: list[str]) -> list[Path]:
        found = {name: source.first(name) for name in names}
        missing = [name for name, shard in found.items() if shard is None]
        if missing:
            raise FileNotFoundError(
                f"{path} lists {len(names)} files, of which {told(missing)} missing; download the folder again"
            )
        return list(found.values())

    def _file(self, path: Path) -> Any:
        if self._open[0] != path:
            self._open = (path, None)  # lets go of the one before
            self._open = (path, _open_safetensors(path) if path.suffix == ".safetensors" else _open_pickle(path))
        return self._open[1]

    def _read_headers(self, path: Path) -> Iterator[tuple[str, Header]]:
        file = self._file(path)
        if isinstance(file, dict):
            for name, tensor in file.items():
                yield name, Header(path, tuple(tensor.shape), tensor.is_floating_point())
        else:
            for name in file.keys():  # noqa: SIM118 - this is no dictionary
                part = file.get_slice(name)
                yield name, Header(path, tuple(part.get_shape()), part.get_dtype() in ("F64", "F32", "F16", "BF16"))

    def read(self, names: Collection[str]) -> Iterator[tuple[str, Tensor]]:
        """The tensors called `names`, in the order of the files: views of the file, good until the next is asked for."""
        wanted = set(names)
        for name, header in self.headers.items():
            if name in wanted:
                file = self._file(header.file)
                yield name, file[name] if isinstance(file, dict) else file.get_tensor(name)

    def close(self) -> None:
        self._open = (Path(), None)


def _open_safetensors(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise ValueError(f"{path} cannot be read ({error}); {damaged(path)}") from None


def _open_pickle(path: Path) -> dict[str, Tensor]:
    """What torch.save wrote. Only tensors are let through: a pickle could otherwise run code."""
    try:
        try:
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            if "mmap" not in str(error):
                raise
            found = torch.load(path, map_location="cpu", weights_only=True)  # the format of before 2020 is read whole
    except pickle.UnpicklingError as error:
        if "Unsupported" not in str(error) or not _is_pickle(path):
            raise ValueError(f"{path} cannot be read; {damaged(path)}") from None
        raise ValueError(
            f"{path} holds something other than tensors, which could be code; nothing of it was executed. "
            "Use a model.safetensors instead, or weights saved by torch.save(model.state_dict(), ...)"
        ) from None
    except Exception as error:  # whatever a damaged file makes torch stumble over
        raise ValueError(f"{path} cannot be read ({str(error).partition(chr(10))[0]}); {damaged(path)}") from None
    if not isinstance(found, Mapping):
        raise ValueError(f"{path} must hold tensors by name, got {type(found).__name__}")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ValueError(
                f"{path} must hold tensors by name, but {name!r} is {type(value).__name__}; save model.state_dict() alone"
            )
    return dict(found)


def _is_pickle(path: Path) -> bool:
    """Whether a file begins as torch.save and pickle have their files begin since 2003, with an archive or a protocol."""
    with path.open("rb") as file:
        return file.read(4).startswith((b"PK\3\4", b"\x80"))


def damaged(path: Path) -> str:
    """What probably happened to a file that cannot be read, and what to do."""
    return mistaken(path) or f"it has {path.stat().st_size:,} bytes and is damaged or incomplete: download it again"


SERVERS_WORDS = r"not found|invalid (username|credentials)|unauthori[sz]ed|access to|\b40[134]\b"


def mistaken(path: Path) -> str | None:
    """What was saved in place of a file, and what to do; None if it may be the file itself."""
    with path.open("rb") as file:
        start = file.read(1000)
    if start.startswith(b"version https://git-lfs"):
        return "it is only git-lfs's pointer to the real file: run `git lfs pull` in its folder"
    if start.removeprefix(codecs.BOM_UTF8).lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "it is a web page: download the file itself, not the page that shows it"
    words = start.decode("utf-8", errors="replace").strip()
    # One line, and no other JSON than the report of an error: a damaged config.json may well hold the number 404.
    one_line = len(start) < 1000 and "\n" not in words and (words[:1] not in ("{", "[") or words.startswith('{"error"'))
    if one_line and re.search(SERVERS_WORDS, words, re.IGNORECASE):
        return (
            f"all it holds is {words[:100]!r}, a server's answer in place of the file: look on the repository's page what "
            "the file is called and whether you may read it, and download it again"
        )
    return None


def told(names: Collection[str], limit: int = 8) -> str:
    """The names in words, the first few of many: "a, b and 3 more are"."""
    names = list(names)
    if len(names) == 1:
        return f"{names[0]} is"
    if len(names) > limit:
        return f"{', '.join(names[:limit])} and {len(names) - limit} more are"
    return f"{', '.join(names[:-1])} and {names[-1]} are"


# ------------------------------------------------------------------------------------------------------------- writing


def write_json(folder: Path, name: str, content: dict[str, Any]) -> None:
    with replacing(folder / name) as part:
        part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_tensors(folder: Path, tensors: dict[str, Tensor]) -> None:
    with replacing(folder / WEIGHTS[0]) as part:
        save_file(tensors, part, metadata={"format": "pt"})
