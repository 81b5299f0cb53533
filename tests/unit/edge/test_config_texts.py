"""What the texts of the configuration may be."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.config import Settings
from edge.config_texts import spoken, wrong_text
from sync import topics


def _document(section: str, name: str, value: Any) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(Settings())
    document["sync"]["device"] = "gate-7"
    document[section][name] = value
    return document


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("sync", "tenant", "a b"),
        ("sync", "device", ".hidden"),
        ("sync", "device", "x" * 65),
        ("sync", "order_keys", ["ab" * 32, "zz"]),
        ("cloud", "mail_server", "mail.example.org"),
        ("cloud", "mail_server", "smtp://me:secret@mail"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(section: str, name: str, value: Any) -> None:
    """And with what it should be."""
    told = wrong_text(_document(section, name, value))

    assert told is not None
    assert told.startswith(f"{section}.{name}: ")


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("sync", "tenant", "acme_2"),
        ("sync", "order_keys", ["aB" * 32]),
        ("cloud", "mail_server", ""),
        ("cloud", "mail_server", "smtp://mail.example.org:25"),
        ("cloud", "mail_server", "smtps://[::1]"),
    ],
)
def test_what_is_right_passes(section: str, name: str, value: Any) -> None:
    """Nothing is to be said of it."""
    assert None is wrong_text(_document(section, name, value))


def test_names_are_those_that_topics_take() -> None:
    """What passes here is not refused when the device starts, and the other way round."""
    for name in ("a", "7-x", "a.b_c", "-a", "ä", "a/b", "", "x" * 64, "x" * 65):
        try:
            topics.address(name, name)
            fits = True
        except topics.BadName:
            fits = False
        assert fits is (wrong_text(_document("sync", "tenant", name)) is None)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"daemon": {"log_level": "loud"}}, "daemon.log_level: 'loud' is not one of debug, info"),
        (
            {"trigger": [{"device": "a", "workflow": "b", "on": "smell"}]},
            "trigger[0].on: 'smell' is not one of motion",
        ),
        ({"daemon": {"listen": 1}}, "daemon.listen: Expected `str`, got `int`"),
        ([], "Expected `object`, got `array`"),
    ],
)
def test_a_wrong_value_is_said_with_its_key_first(document: Any, words: str) -> None:
    """And with what it may be, where that is one of a few."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(document, Settings)

    assert spoken(caught.value, Settings).startswith(words)
