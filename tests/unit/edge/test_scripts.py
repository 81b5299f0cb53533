"""JavaScript: values as they come back, and scripts that would hang, eat memory or break out."""

from __future__ import annotations

from typing import Any

import pytest

from edge.decider.scripts import ScriptFailed, ScriptTimedOut
from edge.scripts import QuickScripts, syntax_error

_SCOPE: dict[str, Any] = {"a": 1, "list": [1, 2, 3], "loop": {"iteration": 2}, "name": "x"}


@pytest.mark.parametrize(
    ("script", "value"),
    [
        ("$.a + 1", 2),
        ("if ($.loop['iteration'] < 3) { true; } else { false; }", True),
        ("(function(){ return $.list.length; })();", 3),
        ("function e(){ return {ok:true}; } e();", {"ok": True}),
        ("({id: $.a, l: $.list.map(x => x * 2)})", {"id": 1, "l": [2, 4, 6]}),
        ("3.0", 3),
        ("1.5", 1.5),
        ("'n=' + $.name", "n=x"),
        ("`n=${$.name}`", "n=x"),
        ("null", None),
        ("undefined", None),
        ("", None),
        ("() => 1", {}),
        ("let {a, ...rest} = $; rest.name ?? 'none'", "x"),
        ("$.missing?.deep ?? 'default'", "default"),
    ],
)
def test_values(script: str, value: Any) -> None:
    """The completion value of the last statement, as JSON."""
    result = QuickScripts().evaluate(script, _SCOPE)

    assert value == result
    assert type(value) is type(result)


@pytest.mark.parametrize(
    "script",
    [
        "throw new Error('boo')",
        "nope",
        "foo bar",
        "require('fs')",
        "10n",
        "'x'.repeat(2 ** 30)",
        "(function f(){ f(); })()",
        "let a = []; while (true) a.push('x'.repeat(100000))",
    ],
)
def test_failures_have_a_message(script: str) -> None:
    """Whatever goes wrong, the author reads what and the process lives."""
    with pytest.raises(ScriptFailed, match="Error evaluating the script `"):
        QuickScripts(5.0).evaluate(script, _SCOPE)


def test_the_line_of_an_error_is_named() -> None:
    """Where the runtime knows it."""
    with pytest.raises(ScriptFailed, match="`Error: boo` at line 2$"):
        QuickScripts().evaluate("let x = 1;\nthrow new Error('boo')", _SCOPE)


@pytest.mark.parametrize("script", ["while (true) {}", "/^(a+)+$/.test('a'.repeat(40) + 'b')"])
def test_endless_scripts_are_stopped(script: str) -> None:
    """A loop and a regular expression that backtracks without end."""
    with pytest.raises(ScriptTimedOut, match=r"Script not evaluated within 0.05 seconds"):
        QuickScripts(0.05).evaluate(script, _SCOPE)


def test_scripts_do_not_see_each_other() -> None:
    """Globals and changes of the input end with the script."""
    scripts = QuickScripts()
    scripts.evaluate("globalThis.leak = 1; $.a = 99; Object.prototype.bad = 1", _SCOPE)

    assert [1, "undefined", False] == scripts.evaluate("[$.a, typeof leak, 'bad' in {}]", _SCOPE)


def test_syntax_is_checked_without_running() -> None:
    """A script that would never end is checked at once."""
    assert syntax_error("while (true) {}") is None
    assert syntax_error("$.n < 15 ? 'SHORT' : 'LONG'") is None
    assert "SyntaxError" in (syntax_error("if (") or "")
    assert syntax_error("\ud800") is not None
