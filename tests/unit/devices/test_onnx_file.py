"""ONNX files: checked before anything runs them, and never believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from devices.drivers.onnx_detector import BUNDLED_MODEL
from devices.drivers.onnx_file import check_file, read, read_names
from devices.errors import Refused


def field(number: int, value: int | bytes | str) -> bytes:
    """Encode one field of a protocol-buffer message; numbers below 128 only."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    content = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2, len(content)]) + content


def model(graph: bytes = b"", *domains: str) -> bytes:
    """Encode a model with operator set 17 and further domains."""
    sets = field(8, field(2, 17)) + b"".join(field(8, field(1, d) + field(2, 1)) for d in domains)
    return field(1, 8) + field(7, graph) + sets


EXTERNAL_TENSOR = field(8, "weights") + field(14, 1)


def test_bundled_model_passes() -> None:
    """The model that ships is one file with a known operator set."""
    assert 17 == check_file(BUNDLED_MODEL.read_bytes())


def test_bundled_model_is_small() -> None:
    """What every installation carries stays below a megabyte."""
    assert BUNDLED_MODEL.stat().st_size < 1_000_000


@pytest.mark.parametrize(
    "graph",
    [
        field(5, EXTERNAL_TENSOR),
        field(1, field(5, field(5, EXTERNAL_TENSOR))),  # in a constant node
        field(1, field(5, field(6, field(5, EXTERNAL_TENSOR)))),  # in the branch of an If
    ],
)
def test_weights_in_other_files_are_refused(graph: bytes) -> None:
    """Wherever a tensor hides, its data may not lie in a file that the model names."""
    with pytest.raises(Refused, match="save it as one file"):
        check_file(model(graph))


def test_foreign_operators_are_refused_by_name() -> None:
    """A domain that onnxruntime does not implement is named."""
    with pytest.raises(Refused, match="'acme.ops'"):
        check_file(model(b"", "ai.onnx.ml", "acme.ops"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a model",
        b"\xff" * 40,
        model()[:-1],
        field(1, 8),
        model(field(5, field(8, "x") + b"\x0f")),
        BUNDLED_MODEL.read_bytes()[:100_000],
    ],
)
def test_broken_files_are_refused(content: bytes) -> None:
    """What is no model, or a part of one, is refused and never crashes the check."""
    with pytest.raises(Refused, match="does not name an ONNX model"):
        check_file(content)


def test_endless_nesting_is_refused() -> None:
    """Graphs within graphs end at a limit, not at the interpreter's."""
    graph = b""
    for _ in range(40):
        below = field_long(6, graph)
        graph = field_long(1, field_long(5, below))
    content = field(1, 8) + field_long(7, graph) + field(8, field(2, 17))

    with pytest.raises(Refused, match="does not name an ONNX model"):
        check_file(content)


def field_long(number: int, content: bytes) -> bytes:
    """Encode a field whose length needs two bytes."""
    return bytes([number << 3 | 2, len(content) & 0x7F | 0x80, len(content) >> 7]) + content


def test_missing_file_names_the_setting(tmp_path: Path) -> None:
    """A file that is not there is refused with the setting to change."""
    with pytest.raises(Refused, match=r"No such file.*set 'model'"):
        read(tmp_path / "none.onnx", "model", 100)


def test_large_file_is_refused(tmp_path: Path) -> None:
    """A file above the limit is not read."""
    path = tmp_path / "large.onnx"
    path.write_bytes(b"x" * 101)

    with pytest.raises(Refused, match=r"101 bytes.*'max_bytes'"):
        read(path, "model", 100)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{"0": "person", "1": "car"}', ["person", "car"]),
        ("{0: 'person', 1: 'car'}", ["person", "car"]),
        ('["person", "car"]', ["person", "car"]),
        ("{0: 'person', 2: 'car'}", []),
        ("{0: 7}", []),
        ("__import__('os')", []),
        ("7", []),
        ("", []),
        ("[" * 5000, []),
    ],
)
def test_names_are_read_as_data(text: str, names: list[str]) -> None:
    """JSON and Python literals are read; gaps and anything else give no names, and run nothing."""
    assert names == read_names(text)
