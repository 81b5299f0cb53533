// The dashboard's own small parts: headings, tabs, forms in a box, pages by a mark, tags.
// No request stands here, and no page is named.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./web/dom.js";
import { count } from "./web/format.js";
import { Pager, Trouble, tell } from "./web/parts.js";
import { go, link } from "./web/router.js";

/** The heading of a page: its name, what stands beside it, what can be done. */
export function Head({ title, beside, path, children }) {
  return html`<div class="heading">
    ${path && html`<p class="small path">${path}</p>`}
    <div class="title"><h1>${title}</h1>${beside}</div>
    <div class="actions">${children}</div>
  </div>`;
}

/** A link that looks like what it is: something to be done on another page. */
export function ActionLink({ href, children, primary }) {
  return html`<a class=${`button ${primary ? "primary" : ""}`} href=${href}>${children}</a>`;
}

/** Ways to look at one page; `tabs` are `[word, title]`, the chosen word stands in the address. */
export function Tabs({ label, parts, query = {}, name, tabs, chosen }) {
  return html`<nav class="tabs" aria-label=${label}>
    ${tabs.map(([word, title]) => html`<a key=${word} href=${link(parts, { ...query, [name]: word })}
      aria-current=${word === chosen ? "true" : null}>${title}</a>`)}
  </nav>`;
}

/** Tags of a device; with `href` each leads somewhere. */
export function Tags({ tags, href }) {
  if (!tags.length) return html`<span class="soft">–</span>`;
  return html`<span class="tags">${tags.map((tag) => (href
    ? html`<a key=${tag} class="tag" href=${href(tag)}>${tag}</a>`
    : html`<span key=${tag} class="tag">${tag}</span>`))}</span>`;
}

/**
 * A form in a box that holds the focus and gives it back.
 *
 * Args: `act()` does what the form is for, a promise; what it refuses is shown in the box, which
 * keeps all that was written. `close()` is called when it is done, or given up.
 */
export function FormBox({ title, action, act, close, danger, wide, children }) {
  const box = useRef(null);
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  useLayoutEffect(() => {
    const before = document.activeElement;
    const shown = box.current;
    shown.showModal();
    shown.querySelector("input, select, textarea")?.focus();
    return () => {
      if (shown.open) shown.close();
      if (before?.isConnected) before.focus();
    };
  }, []);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await act();
      close();
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  return html`<dialog ref=${box} class=${wide ? "wide" : ""} aria-labelledby="box-title"
    onCancel=${(event) => { event.preventDefault(); close(); }}>
    <form class="stack" onSubmit=${submit}>
      <h2 id="box-title">${title}</h2>
      ${children}
      <${Trouble} error=${problem} />
      <div class="buttons">
        <button type="button" onClick=${close}>Cancel</button>
        <button type="submit" class=${danger ? "danger" : "primary"} disabled=${busy}>${action}</button>
      </div>
    </form>
  </dialog>`;
}

let hints = 0;

/** A label with its field and, where there is one, a hint that the field is described by. */
function Labelled({ label, hint, wide, field }) {
  const id = useRef("");
  if (hint && !id.current) {
    hints += 1;
    id.current = `hint-${hints}`;
  }
  return html`<div class=${`field ${wide ? "wide" : ""}`}>
    <label>${label}${field(hint ? id.current : null)}</label>
    ${hint && html`<span class="hint" id=${id.current}>${hint}</span>`}</div>`;
}

/** One field of a form; `hint` says what it takes. */
export function Field({ label, hint, value, onText, wide, ...rest }) {
  return html`<${Labelled} label=${label} hint=${hint} wide=${wide} field=${(described) => html`
    <input type="text" value=${value} autocomplete="off" aria-describedby=${described} ...${rest}
      onInput=${(event) => onText(event.currentTarget.value)} />`} />`;
}

/** A field with fixed choices: words, or `[word, title]`. */
export function Choice({ label, hint, value, onText, options, ...rest }) {
  return html`<${Labelled} label=${label} hint=${hint} field=${(described) => html`
    <select value=${value} aria-describedby=${described} ...${rest}
      onChange=${(event) => onText(event.currentTarget.value)}>
      ${options.map((option) => {
        const [word, title] = Array.isArray(option) ? option : [option, option];
        return html`<option key=${word} value=${word}>${title}</option>`;
      })}
    </select>`} />`;
}

/** A box to tick, with its words beside it. */
export function Tick({ label, checked, onTick, ...rest }) {
  return html`<label class="tick"><input type="checkbox" checked=${checked} ...${rest}
    onChange=${(event) => onTick(event.currentTarget.checked)} />${label}</label>`;
}

// Lists page by a mark, which only leads forward; this remembers which page led to which, also when
// the page is loaded anew.
const KEPT = "baton pages";
const REMEMBERED = 1000;
const cameFrom = new Map(kept());

function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT)) ?? [];
  } catch {
    // A browser that keeps nothing, or something else under this name.
    return [];
  }
}

function remember(there, here) {
  if (cameFrom.size > REMEMBERED) cameFrom.clear();
  cameFrom.set(there, here);
  try {
    sessionStorage.setItem(KEPT, JSON.stringify([...cameFrom]));
  } catch {
    // It is remembered until the page is left.
  }
}

/**
 * Pages of a list that stands under `parts` with `query` in the address: the mark of the page and
 * the number of its first row are part of it, so that an address shows the same rows to everybody.
 */
export function MarkPager({ parts, query, rows, next, total, order = "", words }) {
  const from = Math.max(0, Number.parseInt(query.from, 10) || 0);
  const here = link(parts, query);
  const forward = () => {
    const there = { ...query, after: next, from: from + rows };
    remember(link(parts, there), { ...query });
    go(parts, there);
  };
  const before = cameFrom.get(here);
  const back = () => go(parts, before ?? { ...query, after: "", from: "" });
  // An address that somebody has passed on: what stood before it is not known.
  const said = query.after && !before ? ["First page", words?.[1] ?? "Older"] : words;
  if (!next && !query.after && rows === 0) return null;
  const of = typeof total === "number" ? ` of ${count(total)}` : "";
  const text = rows ? `${count(from + 1)} to ${count(from + rows)}${of}` : "Nothing on this page";
  return html`<${Pager} text=${order ? `${text}, ${order}` : text} words=${said}
    previous=${query.after && back} next=${next && forward} />`;
}

/** The words of a text, with spaces, commas or line ends between them. */
export const listOf = (text) => (text ?? "").split(/[\s,]+/).filter(Boolean);

/** A text that follows another one after a pause, for what is asked while somebody types. */
export function useSettled(text, pauseMs = 300) {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), pauseMs);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}

/** Do something and say how it went: `words` when it did, or why it did not; whether it did. */
export async function attempt(work, words) {
  try {
    await work();
  } catch (error) {
    tell(error.message, { bad: true });
    return false;
  }
  tell(words);
  return true;
}

/** Put something else into the query of the present page, from its first row on. */
export function refine(parts, query, change) {
  go(parts, { ...query, after: "", from: "", ...change });
}

