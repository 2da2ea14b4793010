"""Checkpoints: a model's weights in a file that is whole or not there, and that no other model takes for its own."""

import os
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn


def save_checkpoint(path: str | Path, model: nn.Module, training: dict[str, Any] | None = None) -> None:
    """Write the model's weights and configuration and, if there is one, the state of its training.

    The file is written beside its place and moved there when it is complete: whatever happens in between, a full disk
    or a power cut, the older checkpoint stays.

    Raises:
        OSError: it could not be written.
    """
    path = Path(path)
    content = {"model": model.state_dict(), "config": _config(model), "training": training}
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except (OSError, RuntimeError) as error:  # torch's writer turns the one into the other
        part.unlink(missing_ok=True)
        raise OSError(f"{path} was not written ({error}); an older one would still be there") from error


def load_checkpoint(path: str | Path, model: nn.Module) -> None:
    """Give `model` the weights that `save_checkpoint` or `training.train` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or of another model; the model is as it was.
    """
    put_weights(path, read_checkpoint(path), model)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """What is in the file, ``{"model": …, "config": …, "training": …}``, on the CPU. Errors as `load_checkpoint`."""
    try:
        with zipfile.ZipFile(path) as file:  # torch writes checksums, but does not compare them
            if (damaged := file.testzip()) is not None:
                raise ValueError(f"wrong checksum of {damaged}")
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not {"model", "config", "training"} <= set(content):
            raise ValueError("it holds no model with its configuration")
    except OSError:  # not there, or not allowed to read it
        raise
    except Exception as error:  # a damaged file can raise anything
        raise ValueError(
            f"{path} is damaged, or no checkpoint of this library ({error}); delete it, or name another file"
        ) from error
    return content


def put_weights(path: str | Path, content: dict[str, Any], model: nn.Module) -> None:
    """Give `model` the weights that were read from `path`, if it is the same model."""
    check_same(path, content["config"], _config(model))
    found, expected = (
        {name: tuple(tensor.shape) for name, tensor in weights.items()}
        for weights in (content["model"], model.state_dict())
    )
    check_same(path, found, expected)
    model.load_state_dict(content["model"])


def check_same(path: str | Path, found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raise a ValueError that names what differs between a checkpoint and that which is to take it."""
    absent = "nothing"
    different = [
        f"{name} is {found.get(name, absent)} there and {expected.get(name, absent)} here"
        for name in expected | found
        if found.get(name, absent) != expected.get(name, absent)
    ]
    if different:
        more = f"; and {len(different) - 5} more" if len(different) > 5 else ""
        raise ValueError(
            f"{path} comes from another model or training: {'; '.join(different[:5])}{more}. "
            "Make them equal, or name another file"
        )


def _config(model: nn.Module) -> dict[str, Any]:
    """The model's class and the fields of its configuration, if it has one, in types that any checkpoint may hold."""
    fields = vars(model.config) if hasattr(model, "config") else {}
    plain = (str, int, float, tuple, type(None))
    return {"class": type(model).__name__} | {
        name: value if isinstance(value, plain) else repr(value) for name, value in fields.items()
    }
