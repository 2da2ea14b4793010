"""How plain values travel between the grader and a process that runs students' code.

A frame is the length of a JSON header (4 bytes), the header, and the raw bytes of tensors, whose lengths follow from
the shapes and types that the header names. What comes from a student's process is read as data and as nothing else:
it is never unpickled or evaluated, and every length is checked before memory is set aside for it.
"""

import json
import math
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

HEADER_BYTES = 1 << 20  # of one JSON header
VALUE_BYTES = 32 << 20  # of all tensors of one frame
ITEMS = 20_000  # tensors, numbers, strings and containers in one frame
DEPTH = 12  # of nested containers
TEXT = 20_000  # characters of one string
DIGITS = 60  # of one whole number

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16),
        *(torch.float32, torch.float64, torch.complex64, torch.complex128),
    )
}


class ProtocolError(Exception):
    """A frame that breaks the rules; the message says which one."""


class Gone(Exception):
    """The other end has closed the connection, or died."""


class OutOfTime(Exception):
    """Nothing came before the deadline."""


# ------------------------------------------------------------------------------------------------------------ values


def encode(value: Any) -> tuple[Any, list[bytes]]:
    """A plain value (see `comparing.plain`) as JSON and tensors' bytes.

    Raises:
        ProtocolError: the value is larger or of another kind than may travel.
    """
    blobs: list[bytes] = []
    count = 0

    def tree(value: Any, depth: int) -> Any:
        nonlocal count
        count += 1
        if count > ITEMS or depth > DEPTH:
            raise ProtocolError(f"more than {ITEMS:,} values, or nested more than {DEPTH} deep")
        if isinstance(value, Tensor):
            blobs.append(_bytes(value))
            return {"tensor": str(value.dtype).removeprefix("torch."), "shape": list(value.shape)}
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            if len(value) > TEXT:
                raise ProtocolError(f"a text of {len(value):,} characters; at most {TEXT:,} may travel")
            return {"text": value}
        if isinstance(value, int):
            if abs(value) >= 10**DIGITS:
                raise ProtocolError(f"a whole number of more than {DIGITS} digits")
            return {"int": str(int(value))}
        if isinstance(value, tuple):
            return [tree(item, depth + 1) for item in value]
        if isinstance(value, list):  # in arguments; in results they have become tuples
            return {"list": [tree(item, depth + 1) for item in value]}
        if isinstance(value, dict):
            return {"dict": [[tree(key, depth + 1), tree(item, depth + 1)] for key, item in value.items()]}
        try:
            number = complex(value)
        except Exception as error:
            raise ProtocolError(f"a value of type {type(value).__name__}") from error
        if isinstance(value, complex):
            return {"complex": [number.real.hex(), number.imag.hex()]}
        return {"float": float(value).hex()}

    encoded = tree(value, 0)
    if sum(map(len, blobs)) > VALUE_BYTES:
        raise ProtocolError(f"tensors of more than {VALUE_BYTES >> 20} MB")
    return encoded, blobs


def _bytes(tensor: Tensor) -> bytes:
    if tensor.dtype not in DTYPES.values():
        raise ProtocolError(f"a tensor of type {tensor.dtype}")
    flat = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return bytes(flat.view(torch.uint8).numpy()) if flat.numel() else b""


class Decoder:
    """Rebuilds a value from JSON, taking the bytes of its tensors from `read`, in order."""

    def __init__(self, read: Callable[[int], bytes]):
        self.read, self.items, self.bytes = read, 0, 0

    def __call__(self, tree: Any, depth: int = 0) -> Any:
        """The value, a nesting of tuples and dictionaries as `comparing.plain` makes them.

        Raises:
            ProtocolError: the JSON is not what `encode` writes, or exceeds a limit.
        """
        self.items += 1
        if self.items > ITEMS or depth > DEPTH:
            raise ProtocolError("too many values, or nested too deep")
        if tree is None or isinstance(tree, bool):
            return tree
        if isinstance(tree, list):
            return tuple(self(item, depth + 1) for item in tree)
        if not isinstance(tree, dict):
            raise ProtocolError(f"{type(tree).__name__} in place of a value")
        match tree:
            case {"tensor": str(dtype), "shape": list(shape)}:
                return self._tensor(dtype, shape)
            case {"text": str(text)} if len(text) <= TEXT:
                return text
            case {"int": str(digits)} if len(digits) <= DIGITS + 1 and digits.removeprefix("-").isdecimal():
                return int(digits)
            case {"float": str(number)}:
                return _float(number)
            case {"complex": [str(real), str(imaginary)]}:
                return complex(_float(real), _float(imaginary))
            case {"list": list(items)}:
                return [self(item, depth + 1) for item in items]
            case {"dict": list(pairs)} if all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
                try:
                    return {self(key, depth + 1): self(item, depth + 1) for key, item in pairs}
                except TypeError as error:  # a key that is no key
                    raise ProtocolError(str(error)) from error
        raise ProtocolError(f"not a value: {str(tree)[:100]}")

    def _tensor(self, name: str, shape: list) -> Tensor:
        if name not in DTYPES or len(shape) > 16:
            raise ProtocolError(f"a tensor of type {name[:40]!r} with {len(shape)} axes")
        if not all(type(size) is int and 0 <= size < 1 << 40 for size in shape):
            raise ProtocolError(f"a tensor of shape {str(shape)[:100]}")
        dtype = DTYPES[name]
        length = math.prod(shape) * dtype.itemsize
        self.bytes += length
        if self.bytes > VALUE_BYTES:
            raise ProtocolError(f"tensors of more than {VALUE_BYTES >> 20} MB")
        if length == 0:
            return torch.empty(shape, dtype=dtype)
        data = self.read(length)
        if dtype == torch.bool and data.strip(b"\x00\x01"):
            raise ProtocolError("a truth value that is neither 0 nor 1")
        return torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape)


def _float(text: str) -> float:
    try:
        return float.fromhex(text[:40])
    except (ValueError, OverflowError) as error:
        raise ProtocolError(f"not a number: {text[:40]!r}") from error


# ------------------------------------------------------------------------------------------------------------ frames


def send(connection: socket.socket, header: dict, blobs: list[bytes] | tuple = ()) -> None:
    """Write one frame."""
    text = json.dumps(header).encode()
    connection.sendall(b"".join([struct.pack("!I", len(text)), text, *blobs]))


class Receiver:
    """Reads frames until a `deadline` (of `time.monotonic`), however slowly the bytes come.

    When it has passed, `more` says how many seconds there are still to wait, if any.
    """

    def __init__(self, connection: socket.socket, deadline: float = math.inf):
        self.connection, self.deadline = connection, deadline
        self.more: Callable[[], float] = lambda: 0.0

    def header(self) -> dict:
        """The next frame's header; the bytes of its tensors are still to be read, by `value`.

        Raises:
            ProtocolError, Gone, OutOfTime
        """
        (length,) = struct.unpack("!I", self.read(4))
        if length > HEADER_BYTES:
            raise ProtocolError(f"a header of {length:,} bytes")
        try:
            header = json.loads(self.read(length))
        except (ValueError, RecursionError) as error:
            raise ProtocolError(f"a header that is not JSON: {str(error)[:100]}") from error
        if not isinstance(header, dict):
            raise ProtocolError("a header that is no object")
        return header

    def value(self, tree: Any) -> Any:
        try:
            return Decoder(self.read)(tree)
        except RecursionError as error:
            raise ProtocolError("nested too deep") from error

    def read(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            left = self.deadline - time.monotonic()
            if left <= 0:
                if (left := self.more()) <= 0:
                    raise OutOfTime
                self.deadline = time.monotonic() + left
            self.connection.settimeout(min(left, 3600))
            try:
                piece = self.connection.recv(min(length - len(data), 1 << 20))
            except TimeoutError:
                continue
            except OSError as error:
                raise Gone(str(error)) from error
            if not piece:
                raise Gone("closed")
            data += piece
        return bytes(data)
