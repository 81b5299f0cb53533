// A JSON value as a tree that opens and closes, and as text to copy. Values are only ever text.

import { html, useState } from "./dom.js";
import { bytes } from "./format.js";
import { digitsOf } from "./json_text.js";

// What is drawn at once; more is a click away. A payload of megabytes must not freeze the page.
const ITEMS_AT_ONCE = 100;
const TEXT_AT_ONCE = 1000;
const OPEN_ITEMS = 24;

/** The whole value, with a button that copies it. `label` names it for a screen reader. */
export function JsonView({ value, label }) {
  if (value === null || value === undefined) return html`<p class="soft small">Nothing recorded.</p>`;
  if (typeof value === "object" && Object.keys(value).length === 0) {
    return html`<p class="soft small">Empty.</p>`;
  }
  return html`<div class="json" role="group" aria-label=${label}>
    <${Copy} value=${value} />
    <${Node} value=${value} depth=${0} />
  </div>`;
}

function Copy({ value }) {
  const [done, setDone] = useState(false);
  // The clipboard exists only on https and on localhost; elsewhere the text can still be marked.
  if (!navigator.clipboard) return null;
  const copy = async () => {
    await navigator.clipboard.writeText(JSON.stringify(value, null, 2));
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return html`<button type="button" class="copy quiet" onClick=${copy} aria-live="polite">
    ${done ? "Copied" : "Copy"}
  </button>`;
}

function Node({ name, value, depth }) {
  // What is empty has nothing to open.
  if (value !== null && typeof value === "object" && Object.keys(value).length > 0 && !digitsOf(value)) {
    return html`<${Branch} name=${name} value=${value} depth=${depth} />`;
  }
  return html`<div class="leaf"><${Name} name=${name} /><${Leaf} value=${value} /></div>`;
}

function Name({ name }) {
  return name === undefined ? null : html`<span class="key">${name}</span>`;
}

function Branch({ name, value, depth }) {
  const isList = Array.isArray(value);
  const entries = Object.entries(value);
  const [open, setOpen] = useState(depth === 0 || (depth < 3 && entries.length <= OPEN_ITEMS));
  const [shown, setShown] = useState(ITEMS_AT_ONCE);
  const size = `${entries.length} ${isList ? "item" : "field"}${entries.length === 1 ? "" : "s"}`;
  return html`<details open=${open} onToggle=${(event) => setOpen(event.currentTarget.open)}
    class=${depth === 0 ? "root" : ""}>
    <summary><${Name} name=${name} /><span class="soft">${isList ? "[ ]" : "{ }"} ${size}</span></summary>
    ${open && html`<div class="inside">
      ${entries.slice(0, shown).map(([key, item]) => html`<${Node} key=${key} name=${key}
        value=${item} depth=${depth + 1} />`)}
      ${entries.length > shown && html`<button type="button" class="quiet"
        onClick=${() => setShown(shown + 1000)}>${entries.length - shown} more</button>`}
    </div>`}
  </details>`;
}

function Leaf({ value }) {
  const [whole, setWhole] = useState(false);
  const digits = digitsOf(value);
  if (digits) return html`<span class="value number">${digits}</span>`;
  if (value !== null && typeof value === "object") {
    return html`<span class="soft">${Array.isArray(value) ? "[ ]" : "{ }"} empty</span>`;
  }
  if (typeof value !== "string") {
    return html`<span class=${`value ${value === null ? "null" : typeof value}`}>${String(value)}</span>`;
  }
  const long = value.length > TEXT_AT_ONCE && !whole;
  return html`<span class="value string">${long ? `${value.slice(0, TEXT_AT_ONCE)}…` : value || '""'}</span>
    ${long && html` <button type="button" class="quiet" onClick=${() => setWhole(true)}>
      all ${bytes(value.length)}</button>`}`;
}
