"""Secrets that were handed out are found in what comes back, and replaced by their references."""

from __future__ import annotations

from typing import Any

import pytest

from edge.model.revealed import Revealed

TOKEN = "${workflow.secrets.token}"


def _noted(value: Any, reference: str = TOKEN) -> Revealed:
    revealed = Revealed()
    revealed.note(value, reference)
    return revealed


def test_a_secret_is_replaced_wherever_it_stands() -> None:
    """In texts, keys, lists and maps; everything else stays as it is."""
    revealed = _noted("s3cr3t")
    answer = {"h": ["Bearer s3cr3t", 1, None], "s3cr3t": {"x": True}, "other": "secret"}

    assert revealed
    assert {
        "h": [f"Bearer {TOKEN}", 1, None], TOKEN: {"x": True}, "other": "secret"
    } == revealed.conceal(answer)  # fmt: skip


def test_the_longer_secret_goes_first() -> None:
    """One that is part of another does not leave the rest of it behind."""
    revealed = _noted("password")
    revealed.note("password-of-root", "${workflow.secrets.root}")

    assert "${workflow.secrets.root} " + TOKEN == revealed.conceal_text("password-of-root password")


def test_parts_of_a_document_are_secrets_too() -> None:
    """Whoever was handed a whole document may give back any text in it."""
    revealed = _noted('{"user": "admin-1", "keys": ["key-one", {"deep": "key-two"}], "n": 5}')

    assert "${workflow.secrets.token.keys[1].deep}" == revealed.conceal_text("key-two")
    assert "${workflow.secrets.token.keys[0]}" == revealed.conceal_text("key-one")
    assert "${workflow.secrets.token.user}" == revealed.conceal_text("admin-1")


@pytest.mark.parametrize("value", [None, 5, True, "short", "[", {}, []])
def test_what_is_no_secret_is_not_looked_for(value: Any) -> None:
    """A number or a word of five letters would be found everywhere."""
    revealed = _noted(value)

    assert not revealed
    assert "a short [ 5 True None" == revealed.conceal_text("a short [ 5 True None")


def test_depth_is_bounded() -> None:
    """What nobody looks into is not given back; a document as deep is no reason to fall over."""
    deep: Any = "s3cr3t"
    for _ in range(300):
        deep = [deep]

    assert "s3cr3t" not in str(_noted("s3cr3t").conceal(deep))
    assert not _noted(deep)
