"""Checksums of records: what was changed is noticed, and other releases read what this one writes."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model.errors import RowDamaged
from edge.model.executions import Task, TaskStatus
from edge.store.checked import (
    DocumentDecoder,
    RecordDecoder,
    RecordEncoder,
    checked_document,
    has_checksum,
    plain_document,
    plain_map,
    seed_of,
    with_checksum,
    without_checksum,
)

_FIELDS = st.dictionaries(st.text(max_size=5), st.integers(0, 2**40) | st.binary(max_size=40))
_DECODER = RecordDecoder(Task, "task")


def _task(output: bytes = b'{"answer": 42}') -> Task:
    return Task(7, 7, "step", "SIMPLE", "step", "step", TaskStatus.COMPLETED, output=output)


@given(fields=_FIELDS, more=st.integers(0, 40))
def test_a_record_comes_back_as_it_was(fields: dict[str, int | bytes], more: int) -> None:
    """Whatever the number of fields, taking the checksum away gives the record back."""
    body = msgspec.msgpack.encode({**fields, **{f"f{n}": n for n in range(more)}})

    checked = with_checksum(body)

    assert has_checksum(checked)
    assert body == without_checksum(checked, "task")


@given(more=st.integers(0, 40))
def test_an_older_release_reads_it(more: int) -> None:
    """The checksum is one more field, which whoever does not know it skips."""
    fields = {f"f{n}": n for n in range(more)}

    read = msgspec.msgpack.decode(with_checksum(msgspec.msgpack.encode(fields)))

    assert fields == {name: value for name, value in read.items() if name != "#"}
    assert _task() == msgspec.msgpack.decode(RecordEncoder().encode(_task()), type=Task)


def test_a_record_of_an_older_release_is_read() -> None:
    """A record without a checksum is taken as it is."""
    assert _task() == _DECODER.decode(msgspec.msgpack.encode(_task()))


def test_no_flipped_bit_goes_unnoticed() -> None:
    """Each bit of a record: the change is found, or the record is what it was."""
    body = RecordEncoder().encode(_task())
    found = 0
    for bit in range(len(body) * 8):
        damaged = bytearray(body)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            assert _task() == _DECODER.decode(bytes(damaged))
        except RowDamaged:
            found += 1

    assert found > len(body) * 7


def test_a_stretch_of_zeros_is_noticed() -> None:
    """A sector that was lost leaves zeros, the checksum among them."""
    body = RecordEncoder().encode(_task(b'{"text": "%b"}' % (b"x" * 3_000)))
    chance = random.Random(5)
    for _ in range(300):
        start = chance.randrange(len(body))
        damaged = body[:start] + bytes(len(body) - start)
        with pytest.raises(RowDamaged):
            _DECODER.decode(damaged)
        with pytest.raises(RowDamaged):
            _DECODER.decode(body[:start])


def test_columns_beside_the_body_are_held_to_it() -> None:
    """A body under another key is not the same record."""
    body = with_checksum(msgspec.msgpack.encode({"a": 1}), seed_of(1, "task"))

    assert body != without_checksum(body, "history", seed_of(1, "task"))
    with pytest.raises(RowDamaged, match="history"):
        without_checksum(body, "history", seed_of(2, "task"))


def test_what_is_no_record_is_left_alone() -> None:
    """Only maps can carry a checksum."""
    assert [b"", b"\x93\x01\x02\x03"] == [with_checksum(one) for one in (b"", b"\x93\x01\x02\x03")]


@given(value=st.recursive(st.text() | st.integers(), lambda one: st.lists(one, max_size=4)))
def test_a_document_stays_json(value: object) -> None:
    """White space behind a document is nothing to whoever reads JSON."""
    document = msgspec.json.encode(value)

    checked = checked_document(document)

    assert value == msgspec.json.decode(checked)
    assert document == plain_document(checked, "task_definition")
    assert document == plain_document(document, "task_definition")


def test_no_flipped_bit_of_a_document_goes_unnoticed() -> None:
    """Each bit of a document: the change is found, or the document is what it was."""
    value = {"name": "inspect", "tasks": [1, 2, 3]}
    document = checked_document(msgspec.json.encode(value))
    decoder = DocumentDecoder(dict[str, object], "workflow_definition")
    found = 0
    for bit in range(len(document) * 8):
        damaged = bytearray(document)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            assert value == decoder.decode(bytes(damaged))
        except RowDamaged:
            found += 1

    assert found == len(document) * 8


@pytest.mark.parametrize("fields", [0, 1, 13, 14, 15, 16, 40, 300])
def test_the_quick_way_says_the_same_or_nothing(fields: int) -> None:
    """Maps of any size; one that was changed is left to the closer look."""
    body = msgspec.msgpack.encode({f"k{number}": number for number in range(fields)})
    checked = with_checksum(body, 7)

    assert plain_map(checked, 7) in (None, without_checksum(checked, "history", 7))
    assert fields > 14 or plain_map(checked, 7) is not None
    assert plain_map(checked, 8) is None
    assert plain_map(checked[:-1] + b"x", 7) is None
