"""Python: the body of a function over the input; what it may use, and what becomes of its value."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge.script_child.frames import Job, Kind, Reply, Verdict
from edge.script_child.python_script import evaluate

_SCOPE = {
    "expression": "...",
    "evaluatorType": "python",
    "a": 1,
    "items": [{"n": 1}, {"n": 2}],
    "not a name": 1,
    "class": 2,
    "none": None,
}


def _run(script: str, scope: Any = None, **fields: Any) -> Reply:
    document = json.dumps(_SCOPE if scope is None else scope).encode()
    return evaluate(Job(Kind.VALUE, script.encode(), document, 4_000)._replace(**fields))


@pytest.mark.parametrize(
    ("script", "value"),
    [
        ("return a + 1", 2),
        ("return sum(item['n'] for item in items)", 3),
        ("a", None),
        ("", None),
        ("# nothing", None),
        ("  return a", 1),
        ("  b = a\n  return b", 1),
        ("if a > 0:\n    return 'yes'\nreturn 'no'", "yes"),
        ("def twice(x):\n    return x * 2\nreturn twice(a)", 2),
        ("text = '''x\n  y'''\nreturn text", "x\n  y"),
        ("a = a + 1\nreturn a", 2),
        ("import json, re\nreturn json.loads(re.sub('x', '1', '[x]'))", [1]),
        ("from datetime import datetime, timezone\nreturn datetime.fromtimestamp(0, timezone.utc).year", 1970),
        ("import urllib.parse\nreturn urllib.parse.quote('a b')", "a%20b"),
        ("class P:\n    x = 3\nreturn P().x", 3),
        ("try:\n    return 1 / 0\nexcept ZeroDivisionError as error:\n    return str(error)", "division by zero"),
        ("return [none, True, 1.0, 1.5, 'x', (1, 2), {'k': {1}}]", [None, True, 1, 1.5, "x", [1, 2], {"k": [1]}]),
        ("return {1: 'a', None: 'b'}", {"1": "a", "None": "b"}),
        ("return [float('nan'), float('inf'), -float('inf')]", ["NaN", "Infinity", "-Infinity"]),
        ("return [2**62, 2**70, -2**63]", [2**62, 2.0**70, -(2**63)]),
    ],
)  # fmt: skip
def test_values(script: str, value: Any) -> None:
    """What ``return`` returns; the input's names are globals that may be assigned to."""
    reply = _run(script)

    assert (Verdict.VALUE, value) == (reply.verdict, json.loads(reply.body or b'"?"')), reply


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("return nope", "NameError: name 'nope' is not defined at line 1"),
        ("\nraise ValueError('a\\nb')", "ValueError: a\nb at line 2"),
        ("def f():\n    return 1 / 0\nreturn f()", "ZeroDivisionError: division by zero at line 2"),
        ("return (", "SyntaxError: '(' was never closed at line 1"),
        ("if a:\nreturn 1", "IndentationError: expected an indented block after 'if' statement on line 1 at line 2"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded at line 1"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt at line 1"),
        ("class E(Exception):\n    def __str__(self): raise self\nraise E", "E at line 3"),
        ("return open('/etc/passwd')", "NameError: name 'open' is not defined at line 1"),
        ("return eval('1')", "NameError: name 'eval' is not defined at line 1"),
        ("import os", "ImportError: a script cannot import os; it may import"),
        ("from . import x", "ImportError: a script cannot import ; it may import"),
        ("return 10 ** 400", "ValueError: a whole number is too large to be stored"),
        ("return object()", "TypeError: a object cannot be stored; return text, numbers, lists or dicts"),
        ("a = []\na.append(a)\nreturn a", "ValueError: the result is nested deeper than 200 levels, or holds itself"),
        ("return '\\ud800'", "half a character"),
        ("return 'x' * 11000000", "larger than 10 megabytes"),
        ("raise ValueError('x' * 100000)", "xxx..."),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_told(script: str, message: str) -> None:
    """In the words of Python, with the line of the script."""
    reply = _run(script)

    assert Verdict.FAILED == reply.verdict
    assert message in reply.body.decode()
    assert len(reply.body) < 5_000


def test_a_name_of_the_input_does_not_open_doors() -> None:
    """The built-ins are ours, whatever the input calls its members."""
    scope = {"__builtins__": {"open": 1}, "__name__": "__main__", "print": 5}

    assert b'"script"' == _run("return __name__", scope).body
    assert Verdict.FAILED == _run("return open", scope).verdict


def test_what_is_printed_goes_to_the_log() -> None:
    """If somebody reads it, and within bounds."""
    script = "print('a', 1, sep='-')\nprint('x' * 3000)\nfor i in range(500): print(i)\nreturn 1"
    lines = json.loads(_run(script, console=True).logs)

    assert b"[]" == _run(script).logs
    assert '[Log] "a-1"' == lines[0]
    assert f'[Log] "{"x" * 2000}..."' == lines[1]
    assert (101, "(further lines are left out)") == (len(lines), lines[-1])
