"""SentencePiece models, read without its library: pieces, scores, kinds, and the table by which texts are normalised.

A model is a Protocol Buffers message; the numbers below are those of its fields in sentencepiece_model.proto.
Source: Kudo & Richardson 2018 (arXiv 1808.06226) and the authors' code.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6  # kinds of pieces


def read_sentencepiece(path: Path) -> tuple[list[tuple[str, float, int]], bytes]:
    """The pieces with their scores and kinds, and the table of normalisation.

    Raises:
        ValueError: a damaged file, or a model of another kind than unigram, or without a space before each text.
    """
    pieces, normalization = [], b""
    for number, value in _message(path.read_bytes()):
        if number == 1:
            piece = dict(_message(value))
            score = struct.unpack("<f", piece[2])[0] if 2 in piece else 0.0
            pieces.append((piece[1].decode("utf-8"), score, piece.get(3, NORMAL)))
        elif number == 2 and dict(_message(value)).get(3, 1) != 1:
            raise ValueError("it is not a unigram model, the only kind that T5 and ALBERT have")
        elif number == 3:
            normalizer = dict(_message(value))
            if not normalizer.get(3, 1):
                raise ValueError("it puts no space before a text (add_dummy_prefix), which T5's and ALBERT's models do")
            normalization = normalizer.get(2, b"")
    if not pieces:
        raise ValueError("it holds no pieces")
    return pieces, normalization


def unigram_scores(pieces: list[tuple[str, float, int]]) -> list[float]:
    """The scores by which SentencePiece looks for the best cut of a text.

    A user-defined piece is to be found wherever it stands, so it counts as much as the best piece for each of its bytes
    would, less a little. Source: Model::EncodeOptimized in the authors' unigram_model.cc.
    """
    normal = [score for _, score, kind in pieces if kind == NORMAL]
    best, worst = max(normal, default=0.0), min(normal, default=0.0)
    return [
        # Not below the worst: `tokenizers` measures an unknown character by the lowest score of all.
        max(len(piece.encode()) * best - 0.1, worst) if kind == USER_DEFINED else score
        for piece, score, kind in pieces
    ]


def _message(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a Protocol Buffers message: number and value, a whole number or bytes."""
    position = 0

    def varint() -> int:
        nonlocal position
        result = shift = 0
        while True:
            byte = data[position]
            position += 1
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return result

    while position < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
            continue
        if kind not in (1, 2, 5):
            raise ValueError(f"a field of kind {kind} at byte {position}")
        length = varint() if kind == 2 else {1: 8, 5: 4}[kind]
        if position + length > len(data):
            raise ValueError(f"it ends in the middle of a field, at byte {len(data)}")
        yield key >> 3, data[position : position + length]
        position += length
