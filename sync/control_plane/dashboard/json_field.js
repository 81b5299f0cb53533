// A field for JSON that says where a text is none, while it is being written.

import { html } from "./web/dom.js";
import { readExactly } from "./web/json_text.js";

/** The value of a text: `{value}`, or `{problem}` with the line and the column of what is wrong. */
export function readJson(text, { object = true } = {}) {
  if (text.trim() === "") return object ? { value: {} } : { problem: "It is empty." };
  try {
    const value = readExactly(text);
    if (object && (value === null || typeof value !== "object" || Array.isArray(value))) {
      return { problem: "It must be an object, in { }." };
    }
    return { value };
  } catch {
    return { problem: placed(failsAt(text), text) };
  }
}

const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const PLAIN = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
const COLON = /:/y;

/** Where a text stops being JSON, which browsers do not say: a reader that only finds the place. */
function failsAt(text) {
  let at = 0;
  const skip = () => {
    while (" \t\r\n".includes(text[at] ?? "x")) at += 1;
  };
  const take = (pattern) => {
    skip();
    pattern.lastIndex = at;
    if (!pattern.test(text)) throw new Place(at);
    at = pattern.lastIndex;
  };
  const listed = (end, item) => {
    at += 1;
    skip();
    if (text[at] === end) at += 1;
    else {
      for (item(), skip(); text[at] === ","; skip()) {
        at += 1;
        item();
      }
      if (text[at] !== end) throw new Place(at);
      at += 1;
    }
  };
  const member = () => {
    take(STRING);
    take(COLON);
    value();
  };
  const value = () => {
    skip();
    if (text[at] === "{") listed("}", member);
    else if (text[at] === "[") listed("]", value);
    else take(text[at] === '"' ? STRING : PLAIN);
  };
  try {
    value();
    skip();
    return at;
  } catch (found) {
    // Boxes in boxes beyond what a browser can follow have no place that could be told.
    return found instanceof Place ? found.at : 0;
  }
}

class Place {
  constructor(at) {
    this.at = at;
  }
}

function placed(at, text) {
  const lines = text.slice(0, at).split("\n");
  const what = at >= text.trimEnd().length ? "it ends too early" : `${text[at]} is not expected here`;
  return `Line ${lines.length}, column ${lines.at(-1).length + 1}: ${what}.`;
}

/** The field. `problem` is what `readJson` says; `id` is unique on the page. */
export function JsonField({ id, label, value, onText, problem, rows = 8 }) {
  return html`<div class="json-field"><label>${label}
    <textarea id=${id} rows=${rows} value=${value} spellcheck="false" aria-invalid=${problem ? "true" : null}
      aria-describedby=${`${id}-state`} onInput=${(event) => onText(event.currentTarget.value)}></textarea></label>
    <p id=${`${id}-state`} class=${`small ${problem ? "bad-text" : "soft"}`} aria-live="polite">${
      problem ?? "Valid JSON."}</p></div>`;
}
