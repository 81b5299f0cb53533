"""JavaScript: what a script finds, what becomes of its value, and what stops it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from edge.script_child.frames import (
    MOST_RESULT_BYTES,
    Job,
    Kind,
    Reply,
    Verdict,
    decode_reply,
    encode_reply,
)
from edge.script_child.javascript import JavaScript

_SCOPE: dict[str, Any] = {
    "a": 1,
    "b": 2.5,
    "id": "x-1",
    "at": None,
    "list": [3, 1, 2],
    "items": [{"n": 1, "v": "p"}, {"n": 2, "v": "q"}],
    "loop": {"iteration": 2},
    "map": {"k": "v", "size": 3, "get": "own"},
    "empty": {},
}


def _run(script: str, scope: Any = None, **fields: Any) -> Reply:
    document = _SCOPE if scope is None else scope
    job = Job(Kind.VALUE, script.encode(), json.dumps(document).encode(), 20_000)
    return JavaScript().run(job._replace(**fields))


def _value(script: str, scope: Any = None) -> Any:
    reply = _run(script, scope)
    assert Verdict.VALUE == reply.verdict, reply
    return json.loads(reply.body)


def _fault(script: str, **fields: Any) -> str:
    reply = _run(script, **fields)
    assert Verdict.FAILED == reply.verdict, reply
    return reply.body.decode()


@pytest.mark.parametrize(
    ("script", "value"),
    [
        # A condition whose value is that of the last statement.
        ("if ($.loop['iteration'] < 3) { true; } else { false; }", True),
        ("if ($.a > 1) { 'many'; } else if ($.a == 1) { 'one'; } else { 'none'; }", "one"),
        ("for (let i = 0; i < 3; i++) { i * 2; }", 4),
        ("switch ($.id) { case 'x-1': 'found'; break; default: 'lost'; }", "found"),
        ("try { nope; } catch (e) { e.name; }", "ReferenceError"),
        ("var x = $.a + 1; x;", 2),
        ("let y = 5", None),
        # A bare expression.
        ("$.a < 15 ? 'SHORT' : 'LONG'", "SHORT"),
        ("$['list']['length']", 3),
        # A function that is called where it stands, in all its spellings.
        ("(function(){ return $.a + $.b; })();", 3.5),
        ("(function(){ return $.a; })()", 1),
        ("(function(){ return $.a; })();\n", 1),
        ("(function(){ return $.a; }())", 1),
        ("(() => $.list.length)()", 3),
        ("(function () {\n  // why\n  return {ok: true}; /* so */\n})();", {"ok": True}),
        # A function with a name, then a call.
        ("function e(){ return {ok:true}; } e();", {"ok": True}),
        ("function f(n) { return n < 2 ? 1 : n * f(n - 1); }\nf(5)", 120),
        # An object in parentheses.
        ("({id: $.id, at: $.at})", {"id": "x-1", "at": None}),
        # The body of a function, as LAMBDA wraps it.
        ("(function(){return $.a - 1;\n})();", 0),
        # Newer JavaScript.
        ("$.list.map(x => x * 2).filter(x => x > 2)", [6, 4]),
        ("let s = 0; $.list.forEach(x => s += x); s", 6),
        ("$.items.reduce((sum, {n}) => sum + n, 0)", 3),
        ("$.items.find(i => i.v === 'q')?.n ?? 'none'", 2),
        ("$.missing?.deep ?? 'default'", "default"),
        ("const {a, ...rest} = $; Object.keys(rest).length", len(_SCOPE) - 1),
        ("[...$.list, ...'ab']", [3, 1, 2, "a", "b"]),
        ("({...$.map, extra: 1})", {"k": "v", "size": 3, "get": "own", "extra": 1}),
        ("`${$.id}/${$.a}`", "x-1/1"),
        ("'v12 v7'.match(/v(\\d+)/)[1]", "12"),
        ("[...'a1b22'.matchAll(/\\d+/g)].map(m => m[0])", ["1", "22"]),
        (
            "'2024-05-06'.replace(/(?<y>\\d+)-(?<m>\\d+)-(?<d>\\d+)/, '$<d>.$<m>.$<y>')",
            "06.05.2024",
        ),
        ("Math.max(...$.list)", 3),
        ("new Date(0).toISOString()", "1970-01-01T00:00:00.000Z"),
        ("JSON.parse(JSON.stringify($.items))[1].v", "q"),
        ("Object.entries($.loop).map(([k, v]) => k + v)", ["iteration2"]),
        ("class P { #x = 1; get x() { return this.#x; } } new P().x", 1),
        ("$.list.toSorted().at(-1)", 3),
        ("function* g() { yield 1; yield 2; } [...g()]", [1, 2]),
        ("Object.fromEntries([['a', 1]])", {"a": 1}),
        ("1_000 ** 2", 1_000_000),
        ("'use strict'; $.a", 1),
        ("", None),
        ("// nothing but a comment", None),
    ],
)
def test_shapes_of_real_definitions(script: str, value: Any) -> None:
    """The value of a script is the completion value of its last statement."""
    assert value == _value(script)


@pytest.mark.parametrize(
    ("script", "stored"),
    [
        ("null", "null"),
        ("undefined", "null"),
        ("true", "true"),
        ("'text'", '"text"'),
        ("3", "3"),
        ("3.0", "3"),
        ("-0", "0"),
        ("1.5", "1.5"),
        ("2 ** 53", "9007199254740992"),
        ("2 ** 62", "4611686018427387904"),
        ("-(2 ** 63)", "-9.223372036854776e+18"),
        ("2 ** 63", "9.223372036854776e+18"),
        ("1e20", "1e+20"),
        ("1e-7", "1e-7"),
        ("NaN", '"NaN"'),
        ("[1 / 0, -1 / 0]", '["Infinity","-Infinity"]'),
        ("10n", "10"),
        ("[1, [2, [3]]]", "[1,[2,[3]]]"),
        ("[undefined, , () => 1]", "[null,null,{}]"),
        ("({a: undefined, b: () => 1, c: null})", '{"a":null,"b":{},"c":null}'),
        ("new Map([['a', 1], ['b', new Map([[2, 3]])]])", '{"a":1,"b":{"2":3}}'),
        ("new Date(0)", "{}"),
        ("[new Date(0), {at: new Date(NaN)}]", '[{},{"at":{}}]'),
        ("new Set([1])", "{}"),
        ("() => 1", "{}"),
        ("Symbol('s')", "{}"),
        ("/x/", "{}"),
        ("new Error('e')", "{}"),
        ("Promise.resolve(1)", "{}"),
        ("(async () => 1)()", "{}"),
        ("class A {} new A()", "{}"),
        ("class B { constructor() { this.x = 1; } } new B()", '{"x":1}'),
        ("new Uint8Array([1, 2])", "[1,2]"),
        ("'\\u00e9\\u{1F600}\\0'", '"\u00e9\U0001f600\\u0000"'),
    ],
)
def test_values_as_they_are_stored(script: str, stored: str) -> None:
    """Numbers that fit are integers; what JSON has no word for has the one that Conductor has."""
    reply = _run(script)

    assert (Verdict.VALUE, stored) == (reply.verdict, reply.body.decode())


@pytest.mark.parametrize(
    ("script", "value"),
    [
        ("$.list.get(0) + $.list.size()", 6),
        ("$.list.contains(2) && !$.list.isEmpty()", True),
        ("$.list.add(9); $.list.add(0, 8); $.list", [8, 3, 1, 2, 9]),
        ("$.list.remove(1); $.list.set(0, 7); $.list.addAll([5]); $.list", [7, 2, 5]),
        ("$.list.subList(1, 3)", [1, 2]),
        ("$.items.get(1).get('v')", "q"),
        ("$.items.get(1).get('nothing')", None),
        ("$.loop.size()", 1),
        ("$.loop.containsKey('iteration') && $.loop.containsValue(2)", True),
        ("$.loop.keySet().contains('iteration')", True),
        ("[$.loop.getOrDefault('x', 5), $.loop.values().get(0)]", [5, 2]),
        ("$.loop.entrySet().map(e => e.getKey() + '=' + e.getValue())", ["iteration=2"]),
        ("$.empty.isEmpty() && $.get('empty').size() == 0", True),
        ("$.empty.put('a', 1); $.empty.putAll({b: 2}); $.empty.remove('a'); $.empty", {"b": 2}),
        # A member of the same name is the member.
        ("[$.map.get, $.map.size]", ["own", 3]),
        # What JavaScript does with arrays and objects, it still does.
        ("$.list.get; [Object.keys($.map), 'get' in {}]", [["k", "size", "get"], False]),
        ("let seen = []; for (const k in $.list) seen.push(k); $.list.size; seen", ["0", "1", "2"]),
        ("$.loop.size(); let {iteration, ...rest} = $.loop; [iteration, rest]", [2, {}]),
        ("$.loop.size(); JSON.stringify($.loop)", '{"iteration":2}'),
        ("$.size; Object.defineProperty({}, 'x', {value: 1, enumerable: true})", {"x": 1}),
        ("$.size; new Map([[1, 2]]).size", 1),
    ],
)
def test_calls_of_java(script: str, value: Any) -> None:
    """Lists and maps of the input can be called as Java's, and are still JavaScript's."""
    assert value == _value(script)


def test_an_index_out_of_bounds_is_an_error_of_the_script() -> None:
    """As in Java; the line is that of the script."""
    assert (
        "Error evaluating the script `RangeError: Index 9 out of bounds for length 3` at line 2"
        == _fault("\n$.list.get(9)")
    )


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("throw new Error('boo')", "`Error: boo` at line 1"),
        ("let x = 1;\n\nthrow new TypeError('a\\nb')", "`TypeError: a\nb` at line 3"),
        ("$.a;\nnope.x", "`ReferenceError: nope is not defined` at line 2"),
        ("let a = 1;\nfoo bar", "`SyntaxError: expecting ';'` at line 2"),
        ("throw 'text'", "`text`"),
        ("throw {code: 5}", '`{"code":5}`'),
        ("throw null", "`null: out of memory, unless the script has thrown it`"),
        ("throw {toJSON() { throw 1; }, toString() { throw 2; }}", "`something that cannot be shown`"),
        ("return 1", "`SyntaxError: return not in a function` at line 1"),
        ("let a = []; a.push(a); a", "`TypeError: circular reference`"),
        ("({get a() { throw new Error('g'); }})", "`Error: g` at line 1"),
        ("(function f(){ f(); })()", "`RangeError: Maximum call stack size exceeded` at line 1"),
        ("'x'.repeat(2 ** 30)", "`RangeError: invalid string length` at line 1"),
        ("let s = 'a'; while (true) s += s", "`InternalError: string too long` at line 1"),
        ("let a = []; while (true) a.push('x'.repeat(1e5))", "`InternalError: out of memory` at line 1"),
        ("new Array(1e9).fill(0)", "`InternalError: out of memory` at line 1"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_told(script: str, message: str) -> None:
    """The author reads the message, and the line where the engine knows it."""
    assert f"Error evaluating the script {message}" == _fault(script)


@pytest.mark.parametrize("name", ["console", "print", "load", "require", "fetch", "setTimeout"])
def test_what_scripts_do_not_have(name: str) -> None:
    """Nothing that reaches outside, and no console unless somebody reads it."""
    assert f"ReferenceError: {name} is not defined" in _fault(f"{name}('x')")


def test_the_console_writes_lines() -> None:
    """Each call is a line, also of a script that fails later."""
    script = "console.log('a'); console.info(1, {b: [2]}); console.error('\\ud800'); throw 'end'"
    reply = _run(script, console=True)

    assert Verdict.FAILED == reply.verdict
    assert ['[Log] "a"', '[Info] "1 {"b":[2]}"', '[Error] "\ufffd"'] == json.loads(reply.logs)


def test_the_log_is_bounded() -> None:
    """A script that logs without end fills nothing; long lines are cut."""
    script = "console.log('x'.repeat(3000)); for (let i = 0; i < 1e5; i++) console.log(i); 'ok'"
    reply = _run(script, console=True)
    lines = json.loads(reply.logs)

    assert b'"ok"' == reply.body
    assert 101 == len(lines)
    assert f'[Log] "{"x" * 2000}..."' == lines[0]
    assert "(further lines are left out)" == lines[-1]


def test_a_line_is_not_cut_through_a_character() -> None:
    """What is left of it is replaced, as every half character is."""
    reply = _run("console.log('x'.repeat(1999) + '\\u{1F600}')", console=True)

    assert [f'[Log] "{"x" * 1999}\ufffd..."'] == msgspec.json.decode(reply.logs)


def test_the_longest_log_fits_its_frame() -> None:
    """A hundred lines of nothing but characters that JSON writes with six letters."""
    script = "for (let i = 0; i < 200; i++) console.log('\\u0001'.repeat(3000)); 'ok'"
    reply = _run(script, console=True)

    assert len(reply.logs) > 1_000_000
    assert reply == decode_reply(encode_reply(reply))


@pytest.mark.parametrize(
    "script",
    [
        "while (true) {}",
        "/^(a+)+$/.test('a'.repeat(40) + 'b')",
        "const o = {get a() { while (true) {} }}; o",
        "({toJSON() { while (true) {} }})",
    ],
)
def test_endless_scripts_are_stopped(script: str) -> None:
    """A loop, a regular expression that backtracks for ever, and loops in what is stored."""
    assert Verdict.TIMED_OUT == _run(script, limit_ms=50).verdict


def test_what_was_logged_before_the_end_is_kept() -> None:
    """The lines say how far a script came that ran out of time."""
    reply = _run("console.log('here'); while (true) {}", limit_ms=50, console=True)

    assert (Verdict.TIMED_OUT, b'["[Log] \\"here\\""]') == (reply.verdict, reply.logs)


@pytest.mark.parametrize("letter", ["x", "\u00e9", "\u20ac", "\U0001f600"])
def test_long_texts_of_any_script_come_back(letter: str) -> None:
    """As values, and the beginning of what is thrown; also those that the engine keeps in pieces."""
    grown = f"let s = ''; for (let i = 0; i < 5000; i++) s += 'abc{letter}'; s"

    assert f"abc{letter}" * 5000 == _value(grown)
    assert {"a": f"{letter}" * 50_000} == _value(f"({{a: '{letter}'.repeat(50_000)}})")
    assert f"abc{letter}" * 40 in _fault(f"{grown}; throw s")
    assert f"Error: {letter * 100}" in _fault(f"throw new Error('{letter}'.repeat(50_000))")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("'\\ud800'", "half a character"),
        ("({'\\udfff': 1})", "half a character"),
        (f"'x'.repeat({MOST_RESULT_BYTES})", "larger than 10 megabytes"),
        ("'\u20ac'.repeat(3_600_000)", "larger than 10 megabytes"),
        ("let a = 2 ** 62; for (let i = 0; i < 3000; i++) a = [a]; a", "nested too deeply"),
    ],
)
def test_results_that_cannot_be_stored(script: str, message: str) -> None:
    """They fail the script, and the message says why."""
    assert message in _fault(script)


def test_half_a_character_in_two_halves_is_whole() -> None:
    """A text that only looks like one is stored."""
    assert "\U0001f600 \\ud800" == _value("'\\ud83d\\ude00 \\\\ud800'")


def test_scripts_do_not_see_each_other() -> None:
    """Globals, and what a script does to the built-in objects, end with it."""
    engine = JavaScript()
    job = Job(Kind.VALUE, b"globalThis.leak = 1; $.a = 99; Object.prototype.bad = 1", b"{}", 1_000)
    engine.run(job)
    later = job._replace(expression=b"[typeof leak, 'bad' in {}]")

    assert b'["undefined",false]' == engine.run(later).body
    assert b'["undefined",false]' == engine.run(later).body
    engine.prepare()
    assert b'["undefined",false]' == engine.run(later).body


def test_a_script_that_spoils_its_surroundings_spoils_only_itself() -> None:
    """What turns values into JSON does not depend on what a script leaves behind."""
    script = (
        "JSON.stringify = () => 'no'; Array.isArray = null; String = Map = Date = null;"
        "Array.prototype.join = Object.fromEntries = Reflect.apply = () => { throw 1; };"
        "eval = null; [1, {a: 'x'}]"
    )

    assert [1, {"a": "x"}] == _value(script)


def test_names_of_the_input_that_mean_something_to_javascript() -> None:
    """A member called __proto__ or constructor is a member like any other."""
    scope = json.loads('{"__proto__": {"x": 1}, "constructor": 2}')

    assert [1, 2, True] == _value(
        "[$['__proto__'].x, $.constructor, Object.keys($).length == 2]", scope
    )
    assert scope == _value("$.size; $", scope)


def test_syntax_is_checked_without_running() -> None:
    """A script that would never end is judged at once."""
    assert Verdict.VALUE == _run("while (true) {}", kind=Kind.SYNTAX).verdict
    assert Verdict.VALUE == _run("$.n < 15 ? 'SHORT' : 'LONG'", kind=Kind.SYNTAX).verdict
    assert "SyntaxError" in _fault("if (", kind=Kind.SYNTAX)
    assert "SyntaxError" in _fault("'use strict'; with ($) {}", kind=Kind.SYNTAX)


@pytest.mark.parametrize(
    "work", ["while (true);", "'a'.repeat(4e5).indexOf('a'.repeat(2e5) + 'b');", ""]
)
def test_no_text_closes_what_stands_around_it(work: str) -> None:
    """One that brings its own end of a function is no script, and what it holds is never run."""
    assert "SyntaxError" in _fault(f"}});{work}(function(){{", kind=Kind.SYNTAX)


def test_no_function_of_a_text_is_run_in_place_of_ours() -> None:
    """Its functions are known before its first statement; they may bear the names that we use."""
    text = "function Function() { throw 1; } function eval() { throw 1; }"

    assert Verdict.VALUE == _run(text, kind=Kind.SYNTAX).verdict
