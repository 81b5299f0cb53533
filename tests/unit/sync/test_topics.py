"""Topics: every name has one place, and no name reaches into another's."""

from __future__ import annotations

import pytest

from sync import topics
from sync.topics import Address


def test_a_topic_is_parsed_to_where_it_came_from() -> None:
    """Building and parsing are inverse."""
    address = topics.address("acme", "roof-1.cam_2")

    assert "baton/1/acme/roof-1.cam_2/up/2" == address.topic(topics.up(2))
    assert (address, "up/2") == topics.parse(address.topic("up/2"))


@pytest.mark.parametrize("name", ["", "a/b", "+", "#", "a b", ".a", "-a", "ä", "x" * 65, "a\n"])
def test_bad_names_are_refused(name: str) -> None:
    """No name can hold a separator, a wildcard or a blank, or begin with a sign."""
    with pytest.raises(topics.BadName, match="not 1 to 64"):
        topics.address("default", name)
    with pytest.raises(topics.BadName):
        topics.address(name, "roof")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "baton",
        "baton/1/t/d",
        "baton/2/t/d/ack",
        "other/1/t/d/ack",
        "baton/1//d/ack",
        "baton/1/t/#/x",
    ],
)
def test_foreign_topics_are_not_ours(topic: str) -> None:
    """A topic of another protocol, version or shape is None."""
    assert topics.parse(topic) is None


@pytest.mark.parametrize(
    ("suffix", "lane"),
    [("up/0", 0), ("up/3", 3), ("up/4", None), ("up", None), ("up/", None), ("ack", None)],
)
def test_lanes_of_suffixes(suffix: str, lane: int | None) -> None:
    """Only `up/0` to `up/3` are lanes."""
    assert lane == topics.parse_up(suffix)


def test_filters_and_the_server_topic() -> None:
    """The ingest's filters hear every device; the server's topic is no device's."""
    assert "baton/1/+/+/up/+" == topics.every_up()
    assert "baton/1/+/+/presence" == topics.every_presence()
    assert topics.parse(topics.server("acme")) is None
    assert Address("a", "b") < Address("a", "c")


def test_only_the_protocol_s_own_topics_are_reserved() -> None:
    """Of this version and of any other; events may live beside them."""
    reserved = [topics.reserved(t) for t in ("baton/1/a/b/ack", "baton/2/x", "baton/9", "baton")]
    free = [topics.reserved(t) for t in ("baton/events/front", "batons/1/x", "site/baton/1")]

    assert [True, True, True, True] == reserved
    assert [False, False, False] == free
