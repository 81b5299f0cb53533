// The search box of devices and of executions, with the help that teaches its fields.
// What a query means is said by the control plane; what it refuses is shown beside the box.

import { html, useLayoutEffect, useState } from "./web/dom.js";

const TEXT = "eq, ne, has, starts";
const NUMBER = "eq, ne, lt, le, gt, ge";
const TIME = "older, newer; lt, le, gt, ge";

/** What can be searched for: field, operators, an example, what that finds. */
export const DEVICE_FIELDS = [
  ["state", "eq, ne", "state:offline", "not connected now; or online, lagging, never"],
  ["device", TEXT, "device:starts:gate-", "names that begin so"],
  ["tag", "eq, ne", "tag:camera,siren", "with one of these tags"],
  ["group", "eq, ne", "-group:pilots", "not in this group"],
  ["version", TEXT, "version:starts:1.4", "release that runs on it"],
  ["seen", TIME, "seen:older:15m", "not heard of for so long"],
  ["synced, firstSeen", TIME, "synced:older:1h", "its history has come no further"],
  ["backlog", NUMBER, "backlog:gt:1000", "records still on the device"],
  ["gaps, records, epoch, boot", NUMBER, "gaps:gt:0", "records that will not come"],
];

export const EXECUTION_FIELDS = [
  ["status", "eq, ne", "status:FAILED,TIMED_OUT", "one of these"],
  ["workflow", TEXT, "workflow:video_analysis", "of this name"],
  ["device", TEXT, "device:gate-7", "of this device"],
  ["started, ended, updated", TIME, "started:newer:2h", "in the last two hours"],
  ["took", "lt, le, gt, ge", "took:gt:30s", "longer than this"],
  ["id, correlation", TEXT, "correlation:front-door", "what others call it"],
  ["reason", TEXT, "reason:has:timeout", "why it did not complete"],
  ["version", NUMBER, "version:ge:2", "of the definition"],
  ["tag, group", "eq, ne", "tag:site=berlin", "of the device"],
];

const TERM = /-?(?:[^\s"]|"(?:[^"\\]|\\.)*"?)+/g;

/** The terms of a query as they were written. */
const termsOf = (query) => (query ?? "").match(TERM) ?? [];

/** The value that a query wants of a field, when it says so plainly; "" otherwise. */
export function wantedOf(query, field) {
  const found = termsOf(query).filter((term) => term.startsWith(`${field}:`));
  return found.length === 1 ? found[0].slice(field.length + 1).replace(/^eq:/, "") : "";
}

/** A query with another value of a field, or with none of it. */
export function withTerm(query, field, value) {
  const kept = termsOf(query).filter((term) => !term.replace(/^-/, "").startsWith(`${field}:`));
  return [...kept, ...(value ? [`${field}:${quoted(value)}`] : [])].join(" ");
}

/** A value as a query can hold it. */
export function quoted(value) {
  return /^[^\s",\\]+$/.test(value) ? value : `"${value.replaceAll(/["\\]/g, "\\$&")}"`;
}

/**
 * The box. `onSearch(query)` is called by Enter and by the button, not at each letter: half of a
 * term is not a question. `problem` is what the control plane has refused.
 */
export function SearchBox({ label, value, fields, placeholder, onSearch, problem }) {
  const [text, setText] = useState(value ?? "");
  const [open, setOpen] = useState(false);
  // Before it is drawn: what is typed right away must not be put back by what the address said.
  useLayoutEffect(() => setText(value ?? ""), [value]);
  const submit = (event) => {
    event.preventDefault();
    onSearch(text.trim());
  };
  const add = (term) => setText([text.trim(), term].filter(Boolean).join(" "));
  return html`<form class="search" role="search" onSubmit=${submit}>
    <label class="wide">${label}<input type="search" name="q" value=${text} maxlength="1000"
      placeholder=${placeholder} spellcheck="false" autocapitalize="off" autocomplete="off"
      aria-invalid=${problem ? "true" : null} aria-describedby=${problem ? "search-problem" : null}
      onInput=${(event) => setText(event.currentTarget.value)} /></label>
    <button type="submit">Search</button>
    <button type="button" aria-expanded=${open ? "true" : "false"} aria-controls="search-help"
      onClick=${() => setOpen(!open)}>Help</button>
    ${problem && html`<p id="search-problem" class="bad-text problem" role="alert">${problem.message}</p>`}
    ${open && html`<div id="search-help" class="panel help"><${Help} fields=${fields} add=${add} /></div>`}
  </form>`;
}

function Help({ fields, add }) {
  return html`<p>All terms must hold. A term is <code>field:op:value</code>, or <code>field:value</code> for “is”,
      or a plain text that is looked for in names and ids. A <code>-</code> before it turns
      it round, <code>,</code> between values means “or”, and values with spaces
      stand in <code>"</code>. Choose an example to put it into the box.</p>
    <table><caption class="unseen">What can be searched for</caption>
      <thead><tr><th scope="col">Example</th><th scope="col">Finds</th><th scope="col">Field</th>
        <th scope="col">Operators</th></tr></thead>
      <tbody>${fields.map(([field, operators, example, finds]) => html`<tr key=${field}>
        <td><button type="button" class="textlink" onClick=${() => add(example)}>${example}</button></td>
        <td>${finds}</td><td data-label="Field"><code>${field}</code></td>
        <td data-label="Operators" class="soft">${operators}</td></tr>`)}</tbody></table>
    <p class="soft small">Durations are written 250ms, 90s, 15m, 2h, 7d.</p>`;
}

/** What a refused search says, when it is the query that was refused. */
export const queryProblem = (resource) => (resource.error?.status === 400 ? resource.error : null);
