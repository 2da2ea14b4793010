"""What all configurations have in common, and the errors that say what is wrong with one."""

import math
from dataclasses import fields
from typing import Any

from largemodels.blocks import check_activation


def check_config(config: Any, *sizes: str) -> None:
    """Check what all configurations have in common.

    Raises:
        ValueError: one of the fields named in `sizes` is not a whole number of at least 1 (or None, if that is its
            default), the heads do not divide the width (unless there is a `d_head`), a dropout is not a probability,
            the ε of the norms or the size of the first weights is negative, the activation is unknown.
    """
    name = type(config).__name__
    for field in fields(config):
        value = getattr(config, field.name)
        left_open = value is None and field.default is None
        if field.name in sizes and not left_open and (not isinstance(value, int) or value < 1):
            raise ValueError(f"{name}: {field.name} must be a whole number of at least 1, got {value!r}")
        if field.name.endswith("dropout") and not 0 <= value < 1:
            raise ValueError(f"{name}: {field.name} must be a probability in [0, 1), got {value}")
        if field.name in ("norm_eps", "init_std") and value is not None and not 0 <= value < math.inf:
            raise ValueError(f"{name}: {field.name} must be a finite number of at least 0, got {value}")
    if getattr(config, "d_head", None) is None and config.d_model % config.num_heads != 0:
        raise ValueError(
            f"{name}: {config.num_heads} heads do not divide d_model={config.d_model}; "
            f"choose num_heads among the divisors of {config.d_model}"
        )
    check_activation(config.activation)


def check_length(length: int, max_length: int | None) -> None:
    """A text of `length` positions must fit into a model's `max_length`; None is no limit."""
    if max_length is not None and length > max_length:
        raise ValueError(
            f"{length} positions are needed, but this model has {max_length}; shorten the text, ask for fewer new "
            "tokens, or build the model with a larger max_length"
        )
