"""The evaluators: answers, limits with the real engines in their real processes, and nobody waits."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from edge import scripts
from edge.decider.scripts import ScriptFailed, ScriptNeedsTime, ScriptTimedOut
from edge.script_answers import Answer
from edge.scripts import Evaluators, RequestScripts
from tests.evaluators import EVALUATORS

_SCOPE: dict[str, Any] = {"a": 1, "list": [1, 2, 3], "name": "x"}

_LOOPS = {
    "javascript": "while (true) {}",
    "python": "while True: pass",
    "jq": "last(range(1e15))",
}
_SLOW = "const end = Date.now() + {ms}; while (Date.now() < end); {value}"


@pytest.fixture
def impatient() -> Iterator[Evaluators]:
    """Evaluators with a short limit."""
    with Evaluators(0.3) as made:
        yield made


@pytest.fixture
def warm() -> Iterator[Evaluators]:
    """Evaluators of their own whose process for JavaScript stands ready."""
    with Evaluators(20.0) as made:
        made.evaluate("1", {})
        yield made


def _script(ms: int, value: Any) -> str:
    return _SLOW.format(ms=ms, value=value)


# For those who can wait.


@pytest.mark.parametrize(
    ("evaluator", "script", "value"),
    [
        ("javascript", "$.a + 1", 2),
        ("graaljs", "({l: $.list.map(x => x * 2)})", {"l": [2, 4, 6]}),
        ("javascript", "3.0", 3),
        ("javascript", "1.5", 1.5),
        ("javascript", "", None),
        ("python", "return a + 1", 2),
        ("python", "a", None),
        ("jq", ".list[]", [1, 2, 3]),
        ("jq", "empty", []),
    ],
)
def test_values(evaluator: str, script: str, value: Any) -> None:
    """JavaScript's completion value, what Python returns, all that jq emits."""
    result = EVALUATORS.evaluate(script, _SCOPE, evaluator)

    assert value == result
    assert type(value) is type(result)


@pytest.mark.parametrize(
    ("evaluator", "script", "message"),
    [
        ("javascript", "let x = 1;\nthrow new Error('boo')", "`Error: boo` at line 2"),
        ("javascript", "\ud800", "surrogates not allowed"),
        ("python", "return 1 / 0", "ZeroDivisionError: division by zero at line 1"),
        ("jq", ".list.x", "Cannot index array with"),
        ("lua", "return 1", "No evaluator registered for type: lua"),
        ("value-param", "a", "No evaluator registered for type: value-param"),
    ],
)
def test_failures_have_a_message(evaluator: str, script: str, message: str) -> None:
    """Whatever goes wrong, the author reads what."""
    with pytest.raises(ScriptFailed, match=message):
        EVALUATORS.evaluate(script, _SCOPE, evaluator)


@pytest.mark.parametrize(
    "scope",
    [{"half": "\ud800"}, {"object": object()}],
)
def test_an_input_that_cannot_be_handed_over_fails_the_script(scope: dict[str, Any]) -> None:
    """It never came from JSON; nothing is sent."""
    with pytest.raises(ScriptFailed, match="Error evaluating the script"):
        EVALUATORS.evaluate("1", scope)


@pytest.mark.parametrize(("evaluator", "script"), sorted(_LOOPS.items()))
def test_loops_end_at_the_limit(impatient: Evaluators, evaluator: str, script: str) -> None:
    """And the next script finds everything as before."""
    with pytest.raises(ScriptTimedOut, match=r"^Script not evaluated within 0.3 seconds, interr"):
        impatient.evaluate(script, _SCOPE, evaluator)

    good = {"javascript": "$.a", "python": "return a", "jq": ".a"}[evaluator]
    assert impatient.evaluate(good, _SCOPE, evaluator) in (1, [1])


@pytest.mark.parametrize(
    ("evaluator", "script"),
    [
        ("javascript", "/^(a+)+$/.test('a'.repeat(40) + 'b')"),
        ("javascript", "'a'.repeat(4e5).indexOf('a'.repeat(2e5) + 'b')"),
        ("javascript", "Array.prototype.reverse.call({length: 2 ** 50})"),
        ("python", "import re\nreturn re.match('(a+)+$', 'a' * 40 + 'b')"),
        ("python", "import time\ntime.sleep(100)"),
    ],
)
def test_what_hangs_ends_at_the_limit(impatient: Evaluators, evaluator: str, script: str) -> None:
    """Regular expressions, and calls that the engine itself cannot interrupt."""
    with pytest.raises(ScriptTimedOut):
        impatient.evaluate(script, _SCOPE, evaluator)


@pytest.mark.parametrize(
    ("evaluator", "script"),
    [
        ("javascript", "let a = []; while (true) a.push('x'.repeat(1e5))"),
        ("javascript", "new Array(1e9).fill(0)"),
        ("javascript", "(function f(){ return f() + 1; })()"),
        ("python", "x = []\nwhile True: x.append('x' * 1000000)"),
        ("python", "return 'x' * 10 ** 10"),
        ("python", "def f(): return f() + 1\nreturn f()"),
        ("jq", "[range(1e9)]"),
        ("jq", "def f: 1 + f; f"),
    ],
)
def test_memory_ends_at_the_limit(warm: Evaluators, evaluator: str, script: str) -> None:
    """A script that eats memory or stack fails alone: no process grows beyond its own."""
    with pytest.raises(ScriptFailed) as failed:
        warm.evaluate(script, _SCOPE, evaluator)

    assert not isinstance(failed.value, ScriptTimedOut)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("let a = 1; for (let i = 0; i < 201; i++) a = [a]; a", "deeper than 200 levels"),
        ("let a = 1; for (let i = 0; i < 201; i++) a = {a}; a", "deeper than 200 levels"),
        ("let a = 1; for (let i = 0; i < 3000; i++) a = [a]; a", "cannot be read"),
        ("let a = 1; for (let i = 0; i < 1e6; i++) a = [a]; a", "stack|memory"),
        ("'x'.repeat(2e7)", "larger than 10 megabytes"),
    ],
)
def test_results_are_bounded(script: str, message: str) -> None:
    """By their size and by their depth: others have to read what is stored."""
    with pytest.raises(ScriptFailed, match=message):
        EVALUATORS.evaluate(script, _SCOPE)


def test_depth_is_not_size() -> None:
    """Two hundred levels, and many more lists beside each other, are stored."""
    deep = EVALUATORS.evaluate("let a = 1; for (let i = 0; i < 200; i++) a = [a]; a", {})
    wide = EVALUATORS.evaluate("[...Array(500)].map(() => ({a: []}))", {})

    for _ in range(200):
        (deep,) = deep
    assert 1 == deep
    assert [{"a": []}] * 500 == wide


def test_the_console_is_for_those_who_read_it() -> None:
    """Lines come with the value, with the failure, and with the end of the time."""
    log: list[str] = []
    EVALUATORS.evaluate("console.log('a')", {}, log=log)
    with pytest.raises(ScriptFailed):
        EVALUATORS.evaluate("console.error('b'); throw 1", {}, log=log)
    EVALUATORS.evaluate("print('c')", {}, "python", log)

    assert ['[Log] "a"', '[Error] "b"', '[Log] "c"'] == log
    with pytest.raises(ScriptFailed, match="console is not defined"):
        EVALUATORS.evaluate("console.log('a')", {})


def test_scripts_do_not_see_each_other() -> None:
    """Globals, changes of the input and of the library end with the script."""
    EVALUATORS.evaluate("globalThis.leak = 1; $.a = 99; Object.prototype.bad = 1", _SCOPE)
    EVALUATORS.evaluate("import json\njson.dumps = None\nglobals()['leak'] = 1", _SCOPE, "python")

    assert [1, "undefined", False] == EVALUATORS.evaluate("[$.a, typeof leak, 'bad' in {}]", _SCOPE)
    script = "import json\nreturn [json.dumps(a), 'leak' in globals()]"
    assert ["1", False] == EVALUATORS.evaluate(script, _SCOPE, "python")


def test_many_threads_may_ask_at_once() -> None:
    """Each gets its own answer."""
    answers: dict[int, int] = {}

    def ask(number: int) -> None:
        for _ in range(5):
            answers[number] = EVALUATORS.evaluate("$.n", {"n": number})

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {number: number for number in range(6)} == answers


def test_syntax_is_checked_without_running() -> None:
    """A script that would never end is judged at once."""
    assert EVALUATORS.syntax_error("while (true) {}") is None
    assert EVALUATORS.syntax_error("$.n < 15 ? 'SHORT' : 'LONG'") is None
    assert "SyntaxError" in (EVALUATORS.syntax_error("if (") or "")
    assert EVALUATORS.syntax_error("\ud800") is not None


def test_a_text_that_takes_long_to_parse_is_left_to_its_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who registers a definition does not wait for it."""
    monkeypatch.setattr(scripts, "_SYNTAX_MS", 1)
    text = "".join(f"let a{number} = 1;" for number in range(40_000))

    assert EVALUATORS.syntax_error(text) is None


def test_without_a_process_there_is_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine has no room for another process; whoever waits is told."""
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with Evaluators() as evaluators:
        with pytest.raises(ScriptFailed, match="no process can be started for scripts"):
            evaluators.evaluate("1", {})

        assert "no process can be started" in (evaluators.syntax_error("1") or "")


def test_whoever_waits_at_the_end_is_told() -> None:
    """Those whose script runs, and those who stand in line."""
    evaluators = Evaluators(20.0)
    told: list[str] = []

    threads = [
        threading.Thread(target=_loop_until_told, args=(evaluators, number, told))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    while sum(line.inside for line in evaluators._lines._lines) < len(threads):
        threads[0].join(0.01)
    evaluators.close()
    for thread in threads:
        thread.join()

    assert 4 == len(told)


# For those who cannot wait.


def _asked(request: RequestScripts, script: str) -> Any:
    """One question of a request; what it needs time for is waited for here."""
    try:
        return request.evaluate(script, {})
    except ScriptNeedsTime as need:
        there = threading.Event()
        need.begin(there.set)
        assert there.wait(20)
        return need


def test_a_short_script_is_answered_at_once(warm: Evaluators) -> None:
    """If its process stands ready."""
    request = RequestScripts(warm)
    request.begin()

    assert 2 == _asked(request, "1 + 1")


def test_a_cold_start_is_waited_for_elsewhere() -> None:
    """The second time, the process stands ready."""
    with Evaluators() as evaluators:
        request = RequestScripts(evaluators)
        request.begin()
        assert isinstance(_asked(request, "1 + 1"), ScriptNeedsTime)
        request.begin()

        assert 2 == _asked(request, "1 + 1")


def test_a_slow_script_is_waited_for_elsewhere(warm: Evaluators) -> None:
    """The second time, the answer is there, and the script has run once."""
    request = RequestScripts(warm)
    script = _script(150, "Math.random()")
    request.begin()
    assert isinstance(_asked(request, script), ScriptNeedsTime)
    request.begin()
    value = request.evaluate(script, {})

    assert value == request.evaluate(script, {})


def test_a_failure_is_an_answer_too(warm: Evaluators) -> None:
    """It is raised again, not worked out again; its lines come each time."""
    request = RequestScripts(warm)
    script = f"console.log('x'); {_script(150, '')} throw new Error(Math.random())"
    request.begin()
    with pytest.raises(ScriptNeedsTime) as need:
        request.evaluate(script, {}, log=[])
    there = threading.Event()
    need.value.begin(there.set)
    assert there.wait(20)

    said: list[str] = []
    for _ in range(2):
        request.begin()
        log: list[str] = []
        with pytest.raises(ScriptFailed) as failed:
            request.evaluate(script, {}, log=log)
        said.append(f"{failed.value} {log}")
    assert said[0] == said[1]


def test_a_script_that_was_slow_is_not_tried_first_again(warm: Evaluators) -> None:
    """With whatever input; until it turns out to be quick."""
    slow = "const end = Date.now() + $.ms; while (Date.now() < end); $.ms"
    keep: list[Answer] = []

    def ask(ms: int) -> bool:
        """Whether it was answered at once."""
        try:
            warm.ask(warm.question(slow, {"ms": ms}, "javascript", console=False), 25, keep.append)
        except ScriptNeedsTime as need:
            there = threading.Event()
            need.begin(there.set)
            assert there.wait(20)
            return False
        return True

    assert not ask(100)
    assert not ask(1)
    while not ask(0):
        assert len(keep) < 50
    assert keep[0].value == 100


def test_short_scripts_do_not_wait_for_long_ones(warm: Evaluators) -> None:
    """More loops than there are places for them; the short ones go on being answered."""
    told: list[str] = []
    threads = [
        threading.Thread(target=_loop_until_told, args=(warm, number, told)) for number in range(5)
    ]
    for thread in threads:
        thread.start()
    while sum(line.inside for line in warm._lines._lines) < len(threads):
        assert 1 == warm.evaluate("$.n", {"n": 1})
    for number in range(50):
        assert number == warm.evaluate("$.n", {"n": number})

    assert [] == told
    warm.close()
    for thread in threads:
        thread.join()
    assert 5 == len(told)


def _loop_until_told(evaluators: Evaluators, number: int, told: list[str]) -> None:
    try:
        evaluators.evaluate(f"while (true) {{ /* {number} */ }}", {})
    except ScriptFailed as error:
        told.append(str(error))


def test_one_try_waits_only_so_long(warm: Evaluators, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many scripts that are short each are not short together: others have their turn between."""
    monkeypatch.setattr(scripts, "_TRY_MS", 40)
    monkeypatch.setattr(scripts, "_TRY_MOST_MS", 40)
    monkeypatch.setattr(scripts, "_PATIENCE_MS", 5_000)
    request = RequestScripts(warm)
    tries = 0
    for _ in range(50):
        request.begin()
        tries += 1
        values = []
        for number in range(12):
            value = _asked(request, _script(10, number))
            if isinstance(value, ScriptNeedsTime):
                break
            values.append(value)
        if len(values) == 12:
            break

    assert list(range(12)) == values
    assert 2 < tries < 50


def test_a_script_that_never_sees_the_same_again_fails(warm: Evaluators) -> None:
    """It would be worked out for ever, and its answer never used; what to do is said."""
    request = RequestScripts(warm)
    said = ""
    for number in range(20):
        request.begin()
        try:
            _asked(request, _script(40, number))
        except ScriptFailed as error:
            said = str(error)
            break

    assert "is shown something else each time" in said
    assert request.unsteady
    assert number > 3


def test_tries_are_counted(warm: Evaluators, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision that never has all its answers fails, and says what to do."""
    monkeypatch.setattr(scripts, "_MOST_TRIES", 3)
    request = RequestScripts(warm)
    for _ in range(4):
        request.begin()

    with pytest.raises(ScriptFailed, match="more than 3 tries"):
        request.evaluate("1", {})
