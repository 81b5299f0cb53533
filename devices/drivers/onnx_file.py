"""An ONNX file: read whole, checked before anything runs it, and opened.

What the model's inputs and outputs mean is not known here.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnxruntime

from devices.errors import Refused

PROVIDER = "CPUExecutionProvider"
"""The only processor that is used; others would need other builds of onnxruntime."""

# Operator sets that onnxruntime itself implements; any other would need code from elsewhere.
_KNOWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})

# Field numbers of the messages in onnx.proto that lead to a tensor.
_MODEL_GRAPH, _MODEL_OPSETS = 7, 8
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_TENSOR_DATA_LOCATION = 14
_EXTERNAL = 1
# From a graph down: initializers are tensors; nodes have attributes; those hold tensors or graphs.
_WALK: Mapping[str, Mapping[int, str]] = {
    "graph": {1: "node", 5: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
}
_MAX_DEPTH = 32


def read(path: Path, setting: str, max_bytes: int) -> bytes:
    """Read a whole file that a setting names.

    Raises:
        Refused: There is none, it cannot be read, or it is too large.
    """
    try:
        size_bytes = path.stat().st_size
        if size_bytes > max_bytes:
            message = (
                f"{path} has {size_bytes} bytes, at most {max_bytes} are allowed; "
                "raise the setting 'max_bytes' if that is meant"
            )
            raise Refused(message)
        return path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}); set '{setting}' to an existing file"
        raise Refused(message) from error


def open_session(content: bytes, threads: int) -> Any:
    """Make a session that uses no more threads than told and does not spin while it waits.

    Raises:
        Refused: onnxruntime cannot load the model; its own words are in the message.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what goes wrong comes back as an exception
    try:
        return onnxruntime.InferenceSession(content, options, providers=[PROVIDER])
    # onnxruntime's errors share no ancestor but Exception.
    except Exception as error:
        message = f"onnxruntime cannot load the setting 'model': {first_line(error)}"
        raise Refused(message) from error


def first_line(error: Exception) -> str:
    """Give the part of an onnxruntime error that a person can use."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def read_names(text: str) -> list[str]:
    """Read the names in a model's metadata: JSON, or a Python literal as ultralytics writes.

    Returns:
        The names by class number; empty if the text is neither, or has gaps.
    """
    names: Any = None
    for parse in (json.loads, ast.literal_eval):
        try:
            names = parse(text)
            break
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    if isinstance(names, dict):
        by_number = {str(key): value for key, value in names.items()}
        names = [by_number.get(str(number)) for number in range(len(by_number))]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return []
    return names


def check_file(content: bytes) -> int:
    """Check a model without running it, and give the version of its operator set.

    A model whose weights lie in other files is refused: the hash would say nothing of them, and
    the names of those files are the model's to choose.

    Raises:
        Refused: It is not an ONNX model, needs other files, or needs operators from elsewhere.
    """
    try:
        opset, domains, external = _inspect(memoryview(content))
    except (IndexError, ValueError) as error:
        message = (
            "the setting 'model' does not name an ONNX model, or the file is not all of it: "
            f"it has {len(content)} bytes"
        )
        raise Refused(message) from error
    foreign = sorted(domains - _KNOWN_DOMAINS)
    if foreign:
        message = f"the model needs operators from {foreign[0]!r}, which onnxruntime does not have"
        raise Refused(message)
    if external:
        message = "the model keeps weights in other files; save it as one file"
        raise Refused(message)
    return opset


def _inspect(model: memoryview) -> tuple[int, set[str], bool]:
    """Give the operator set's version, the domains of all sets, and whether data lie elsewhere."""
    opset, domains, external = 0, set(), False
    for number, value in _fields(model):
        if number == _MODEL_OPSETS and isinstance(value, memoryview):
            entry = dict(_fields(value))
            domain = entry.get(_OPSET_DOMAIN, b"")
            name = bytes(domain).decode() if not isinstance(domain, int) else ""
            domains.add(name)
            version = entry.get(_OPSET_VERSION, 0)
            if name in ("", "ai.onnx") and isinstance(version, int):
                opset = version
        elif number == _MODEL_GRAPH and isinstance(value, memoryview):
            external = _has_external("graph", value, 0)
    if not opset:
        message = "no operator set"
        raise ValueError(message)
    return opset, domains, external


def _has_external(kind: str, content: memoryview, depth: int) -> bool:
    """Look for a tensor whose data lie in another file, below this message."""
    if depth > _MAX_DEPTH:
        message = "nested too deep"
        raise ValueError(message)
    for number, value in _fields(content):
        if kind == "tensor":
            if number == _TENSOR_DATA_LOCATION and value == _EXTERNAL:
                return True
        elif isinstance(value, memoryview):
            below = _WALK[kind].get(number)
            if below and _has_external(below, value, depth + 1):
                return True
    return False


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Go over the fields of one protocol-buffer message: number and value or bytes."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(content, at)
            yield key >> 3, value
            continue
        if wire == 2:
            length, at = _varint(content, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            message = f"wire type {wire}"
            raise ValueError(message)
        if at + length > len(content):
            message = "cut off"
            raise ValueError(message)
        yield key >> 3, content[at : at + length]
        at += length


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """Read one number of variable length; gives it and where the next thing begins."""
    value = 0
    for shift in range(0, 70, 7):
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    message = "number too long"
    raise ValueError(message)
