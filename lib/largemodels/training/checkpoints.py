"""Checkpoints: a model's weights in a file that is whole or not there, and that no other model takes for its own."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from largemodels.storage import replacing


def save_checkpoint(path: str | Path, model: nn.Module, training: dict[str, Any] | None = None) -> None:
    """Write the model's weights and configuration and, if there is one, the state of its training.

    The file is written beside its place and moved there when it is complete: whatever happens in between, a full disk
    or a power cut, the older checkpoint stays.

    Raises:
        OSError: it could not be written.
    """
    model = unwrapped(model)
    content = {"model": plain_names(model.state_dict()), "config": _config(model), "training": plain_numbers(training)}
    try:
        with replacing(path) as part:
            torch.save(content, part)
    except (OSError, RuntimeError) as error:  # torch's writer turns the one into the other
        raise OSError(f"{path} was not written ({error}); an older one would still be there") from error


def plain_numbers(content: Any) -> Any:
    """NumPy's numbers as Python's own, in dictionaries, lists and tuples, too: a file that may run no code holds no others."""
    if isinstance(content, dict):
        return {plain_numbers(key): plain_numbers(value) for key, value in content.items()}
    if type(content) in (list, tuple):
        return type(content)(map(plain_numbers, content))
    return content.item() if isinstance(content, np.generic) else content


def load_checkpoint(path: str | Path, model: nn.Module) -> None:
    """Give `model` the weights that `save_checkpoint` or `training.train` wrote.

    What matters in training only, dropout and initialisation, may differ. Whether either model is compiled, or wrapped
    for several devices, makes no difference.

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


INITIAL = ("init_std", "scaled_init")  # fields of a configuration that say how a model began


def put_weights(path: str | Path, content: dict[str, Any], model: nn.Module, *, same_training: bool = False) -> None:
    """Give `model` the weights that were read from `path`, if it is the same model.

    Its dropouts may be others, unless it is to go on with the same training.
    """
    model = unwrapped(model)
    found, own = content["config"], _config(model)
    for name in [*found, *own]:
        field = name.rpartition(".")[2]
        if field in INITIAL or (field.endswith("dropout") and not same_training):
            found, own = ({n: value for n, value in config.items() if n != name} for config in (found, own))
    if found["class"] in WRAPPERS:  # written before wrappers were taken off
        found = found | {"class": own["class"]}
    check_same(
        path, found, {name: value for name, value in own.items() if name in found or not _newer(name, found, model)}
    )

    names = {_plain(name): name for name in model.state_dict()}
    weights = plain_names(content["model"])
    if not any(name.startswith("module.") for name in names):
        weights = {name.removeprefix("module."): weight for name, weight in weights.items()}
    shapes, expected = (
        {name: tuple(tensor.shape) for name, tensor in state.items()}
        for state in (weights, plain_names(model.state_dict()))
    )
    check_same(path, shapes, expected)
    model.load_state_dict({names[name]: weight for name, weight in weights.items()})


WRAPPERS = ("OptimizedModule", DataParallel.__name__, DistributedDataParallel.__name__)


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, inside of what `torch.compile` or training on several devices has put around it."""
    inner: Any = model
    while type(inner).__name__ in WRAPPERS:
        inner = inner.module if isinstance(inner, DataParallel | DistributedDataParallel) else inner._orig_mod
    return inner


def plain_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights by the names that they would have if no part of the model were compiled."""
    return {_plain(name): tensor for name, tensor in state.items()}


def _plain(name: str) -> str:
    return name.replace("_orig_mod.", "")


def _newer(name: str, found: dict[str, Any], model: nn.Module) -> bool:
    """Whether a checkpoint may be older than this field of the configuration: it was made with what is now the default.

    Or older than the custom of writing down the configurations of a model's parts.
    """
    part, _, field = name.rpartition(".")
    if part and not any(other.startswith(part + ".") for other in found):
        return True
    config = getattr(model.get_submodule(part), "config", None)
    default = getattr(type(config), "__dataclass_fields__", {}).get(field)
    return default is not None and getattr(config, field) == default.default


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
    """The class, and the fields of each configuration in the model, in types that any checkpoint may hold.

    Those of a part stand behind its name: a wrapper is told from another by what it holds.
    """
    plain = (str, int, float, tuple, type(None))
    found: dict[str, Any] = {"class": type(model).__name__}
    seen: list[Any] = []
    for name, module in model.named_modules():
        config = getattr(module, "config", None)
        if not hasattr(config, "__dict__") or any(config is other or config == other for other in seen):
            continue
        seen.append(config)
        prefix = f"{_plain(name)}." if name else ""
        for field, value in vars(config).items():
            value = plain_numbers(value)
            found[prefix + field] = value if isinstance(value, plain) else repr(value)
    return found
