"""References are found in texts, nested and escaped ones too."""

from __future__ import annotations

import pytest

from edge.model.references import head_of, references_in, strings_of, well_formed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", []),
        ("${a}", ["a"]),
        ("x${a}y${b.c}z", ["a", "b.c"]),
        ("$${a}", []),
        ("${a${b}c}", ["b", "axc"]),
        ("${a{b}c}", ["a{b}c"]),
        ("${open", []),
    ],
)
def test_references_are_found(text: str, expected: list[str]) -> None:
    """An inner one stands before the one around it, with a letter in its place."""
    assert expected == list(references_in(text))


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("a.b", True),
        ("a['b c'].d", True),
        ("a[?(@.x == 'y z')]", True),
        ("a['it\\'s']", True),
        ("", False),
        ("a.", False),
        ("a b", False),
        ("a]b[", False),
        ("a['b]", False),
    ],
)
def test_a_path_is_judged_by_its_brackets(path: str, right: bool) -> None:
    """Blanks may stand inside of brackets only."""
    assert right is well_formed(path)


def test_texts_are_found_under_their_keys() -> None:
    """In maps and lists of any depth that JSON can have here."""
    deep: object = "x"
    for _ in range(100):
        deep = [deep]

    assert [("b", "x"), ("a", "y")] == list(strings_of({"a": [{"b": "x"}, "y", 3]}, "top"))
    assert [] == list(strings_of(deep, "top"))
    assert ("a", "a", "$") == (head_of("a.b"), head_of("a[0].b"), head_of("$.a"))
