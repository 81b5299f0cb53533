// The small parts both faces are built from: tables, tiles, notices, dialogs, the frame of a page.
// Nothing here knows an API.

import { html, signal, useLayoutEffect, useRef, useState } from "./dom.js";
import { ago, count, dateTime } from "./format.js";
import { now, streamState } from "./live.js";
import { link, place } from "./router.js";
import { Shape } from "./status.js";

/** A time as a distance that keeps counting; the exact time stands in the title. */
export function Ago({ at }) {
  return html`<time title=${dateTime(at)}>${ago(at, now.value)}</time>`;
}

/** How wide a box is, as `[ref, pixels]`; 0 until it is drawn. */
export function useWidth() {
  const box = useRef(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    setWidth(box.current.clientWidth);
    const observer = new ResizeObserver(() => setWidth(box.current?.clientWidth ?? 0));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  return [box, width];
}

let pen = null;

/** A text that is cut off with … where it is wider than `px` in the pages' own font. */
export function fitted(text, px, { size = 12.5, weight = 400 } = {}) {
  // Hardly a letter is wider than it is high: what is this short need not be measured.
  if (text.length * size <= px) return text;
  pen ??= document.createElement("canvas").getContext("2d");
  pen.font = `${weight} ${size}px ${getComputedStyle(document.body).fontFamily}`;
  const fits = (some) => pen.measureText(some).width <= px;
  if (fits(text)) return text;
  const letters = [...text.slice(0, Math.ceil(px))];
  let [some, most] = [1, letters.length];
  while (some < most) {
    const middle = Math.ceil((some + most) / 2);
    if (fits(`${letters.slice(0, middle).join("")}…`)) some = middle;
    else most = middle - 1;
  }
  return `${letters.slice(0, some).join("")}…`;
}

/** The box before the name of a row, or before the title of the first column for all of them. */
function Pick({ label, checked, onChange }) {
  return html`<input type="checkbox" class="pick" aria-label=${label} checked=${checked}
    onChange=${(event) => onChange(event.currentTarget.checked)} />`;
}

/**
 * A table that becomes a list of cards on a narrow screen.
 *
 * Args: columns `{title, cell(row), num, grow, bare, keep, wide}` (`bare`: a card needs no name
 * beside it; `keep`: in one line, cut off where it is too long; `wide`: across the whole card);
 * `href(row)` makes the first cell the row's link; `picked`, a Set of keys, and `onPick(keys)`
 * make rows that can be chosen, by what `nameOf(row)` calls them.
 */
export function Table({ label, columns, rows, keyOf, nameOf = keyOf, href, picked, onPick }) {
  const keys = rows.map(keyOf);
  const pickAll = (yes) => onPick(new Set(yes ? keys : []));
  const pickOne = (key, yes) => {
    const next = new Set(picked);
    if (yes) next.add(key);
    else next.delete(key);
    onPick(next);
  };
  return html`<table role="table">
    <caption class="unseen">${label}</caption>
    <thead role="rowgroup"><tr role="row">
      ${columns.map((column, index) => html`<th role="columnheader" scope="col" key=${column.title}
        class=${column.num ? "num" : ""}>${index === 0 && onPick && html`<${Pick} onChange=${pickAll}
          label="Choose all on this page" checked=${keys.every((key) => picked.has(key))} />`
        }${column.title}</th>`)}
    </tr></thead>
    <tbody role="rowgroup">
      ${rows.map((row) => html`<tr role="row" key=${keyOf(row)} class=${href ? "linked" : ""}>
        ${columns.map((column, index) => html`<td role="cell" key=${column.title}
          data-label=${column.bare ? null : column.title}
          class=${`${column.num ? "num" : ""} ${column.grow ? "grow" : ""} ${column.keep ? "keep" : ""} ${
            column.wide ? "wide" : ""}`}>
          ${index === 0 && onPick && html`<${Pick} label=${`Choose ${nameOf(row)}`}
            checked=${picked.has(keyOf(row))} onChange=${(yes) => pickOne(keyOf(row), yes)} />`}
          ${index === 0 && href
            ? html`<a class="rowlink" href=${href(row)}>${column.cell(row)}</a>`
            : column.cell(row)}
        </td>`)}
      </tr>`)}
    </tbody>
  </table>`;
}

/** One figure with its name; a link when there is more behind it. */
export function Figure({ label, value, note, status, href, current = false }) {
  const inside = html`
    <span class="label">${status && html`<${Shape} status=${status} />`}${label}</span>
    <span class="figure">${typeof value === "number" ? count(value) : value}</span>
    ${note && html`<span class="note">${note}</span>`}`;
  return href
    ? html`<a class="tile" href=${href} aria-current=${current ? "true" : null}>${inside}</a>`
    : html`<div class="tile">${inside}</div>`;
}

/** A titled block of a page. */
export function Panel({ title, aside, children, className = "" }) {
  return html`<section class=${`panel ${className}`} aria-label=${title}>
    <header><h2>${title}</h2>${aside && html`<div class="aside">${aside}</div>`}</header>
    ${children}
  </section>`;
}

/** What stands where nothing is yet: what this place is for, and what to do next. */
export function Empty({ title, children }) {
  return html`<div class="empty"><p class="strong">${title}</p><div>${children}</div></div>`;
}

/** What a request that failed said; `again` asks once more. */
export function Trouble({ error, again }) {
  if (!error) return null;
  return html`<div class="trouble" role="alert">
    <${Shape} status="FAILED" /><span>${error.message}</span>
    ${again && html`<button type="button" onClick=${again}>Try again</button>`}
  </div>`;
}

/** The three states every page of data has before it has data: waiting, failed, there. */
export function Waiting({ resource, children }) {
  if (resource.data !== null) {
    return html`<${Trouble} error=${resource.error} again=${resource.reload} />${children()}`;
  }
  if (resource.error) return html`<${Trouble} error=${resource.error} again=${resource.reload} />`;
  return html`<p class="waiting" role="status">Loading…</p>`;
}

/** Name and value pairs. */
export function Facts({ facts }) {
  return html`<dl class="facts">${facts.filter(Boolean).map(([name, value]) => html`<div key=${name}>
    <dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

const question = signal(null);

/** Ask before acting; resolves to null (no) or `{text}` (yes, with what was written). */
export function ask({ title, text, action, danger = false, field = "" }) {
  return new Promise((answer) => {
    question.value = { title, text, action, danger, field, answer };
  });
}

/** The one dialog of a page; `ask` opens it. */
export function Question() {
  const box = useRef(null);
  const asked = question.value;
  const [text, setText] = useState("");
  useLayoutEffect(() => {
    if (asked && !box.current.open) {
      setText("");
      box.current.showModal();
    }
  }, [asked]);
  const finish = (result) => {
    question.value = null;
    if (box.current.open) box.current.close();
    asked?.answer(result);
  };
  return html`<dialog ref=${box} aria-labelledby="question-title"
    onCancel=${(event) => { event.preventDefault(); finish(null); }}>
    ${asked && html`<form method="dialog"
      onSubmit=${(event) => { event.preventDefault(); finish({ text: text.trim() }); }}>
      <h2 id="question-title">${asked.title}</h2>
      <p>${asked.text}</p>
      ${asked.field && html`<label>${asked.field}
        <input type="text" maxlength="300" value=${text}
          onInput=${(event) => setText(event.currentTarget.value)} /></label>`}
      <div class="buttons">
        <button type="button" onClick=${() => finish(null)}>Cancel</button>
        <button type="submit" class=${asked.danger ? "danger" : "primary"}>${asked.action}</button>
      </div>
    </form>`}
  </dialog>`;
}

const notice = signal(null);

/** Say in passing that something was done, or that it was not. */
export function tell(text, { bad = false } = {}) {
  const mine = { text, bad };
  notice.value = mine;
  setTimeout(() => {
    if (notice.value === mine) notice.value = null;
  }, bad ? 9000 : 4000);
}

/** Where `tell` speaks; it stays in the document so that screen readers hear it. */
export function Notice() {
  const shown = notice.value;
  return html`<div class="notices" role="status" aria-live="polite">
    ${shown && html`<div class=${`notice ${shown.bad ? "bad" : ""}`}>
      <${Shape} status=${shown.bad ? "FAILED" : "COMPLETED"} /><span>${shown.text}</span>
      <button type="button" class="quiet" aria-label="Dismiss"
        onClick=${() => { notice.value = null; }}>×</button>
    </div>`}
  </div>`;
}

/** Previous and next, with what is being looked at between them. */
export function Pager({ text, previous, next, words = ["Newer", "Older"] }) {
  return html`<nav class="pager" aria-label="Pages">
    <button type="button" disabled=${!previous} onClick=${previous}>${words[0]}</button>
    <span class="soft" aria-live="polite">${text}</span>
    <button type="button" disabled=${!next} onClick=${next}>${words[1]}</button>
  </nav>`;
}

/**
 * Name the tab after the heading of the page, once that is drawn, with `face` behind it. Of a page
 * that was gone to it gets the focus; of the first one the browser keeps it, and the place that it
 * had before a reload.
 */
export function arrive(face, { first }) {
  const main = document.getElementById("main");
  const take = () => {
    const heading = main.querySelector("h1");
    if (!heading) return false;
    document.title = `${heading.textContent} · ${face}`;
    if (first) return true;
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
    return true;
  };
  if (!first) scrollTo(0, 0);
  if (take()) return;
  const watch = new MutationObserver(() => take() && watch.disconnect());
  watch.observe(main, { childList: true, subtree: true });
  setTimeout(() => watch.disconnect(), 10_000);
}

const STREAM_WORDS = { live: "Live", connecting: "Connecting", lost: "Reconnecting" };

/** The frame around every page: brand, the way to the pages, the state of the stream. */
export function Frame({ title, pages, children, strip, aside, live = true }) {
  const here = place.value.parts[0] ?? pages[0]?.path;
  return html`
    <a class="skip" href="#main" onClick=${skipToMain}>Skip to content</a>
    <header class="top">
      <div class="bar">
        <a class="brand" href=${link([])}><${Mark} /><span>Baton</span>
          <span class="face">${title}</span></a>
        <nav aria-label="Pages of this console">
          ${pages.map((page) => html`<a key=${page.path} href=${link([page.path])}
            aria-current=${(page.also ?? []).concat(page.path).includes(here) ? "page" : null}
            >${page.title}${page.badge && html`<span class="badge">${page.badge}</span>`}</a>`)}
        </nav>
        ${live && html`<span class=${`stream ${streamState.value}`} role="status">
          <${Shape} status=${streamState.value} />${STREAM_WORDS[streamState.value]}
        </span>`}
        ${aside}
      </div>
      ${strip}
    </header>
    <main id="main" tabindex="-1">${children}</main>
    <${Question} /><${Notice} />`;
}

/** The hash belongs to the router, so the skip link moves the focus by itself. */
function skipToMain(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

function Mark() {
  return html`<svg class="mark" viewBox="0 0 24 24" aria-hidden="true">
    <path d="M5 19 18 6" /><circle cx="5.6" cy="18.4" r="3" /><path d="M13.5 17.5a7 7 0 0 0 5-5" />
  </svg>`;
}
