// The API's description as a page: a list that can be searched, and one operation at a time.
// How a schema is shown and how an operation is tried stand in files of their own.

import { Login, Logout } from "./login.js";
import { Answers, Body, Parameters } from "./reference_schema.js";
import { Try } from "./reference_try.js";
import { begin } from "./session.js";
import { html, start, useEffect, useRef, useState } from "./web/dom.js";
import { link, place } from "./web/router.js";

const VERBS = ["get", "post", "put", "delete"];

/** Every operation of the document: `{id, verb, path, group, summary, description, ...}`. */
function operationsOf(api) {
  return Object.entries(api.paths).flatMap(([path, verbs]) => VERBS.filter((verb) => verbs[verb])
    .map((verb) => ({ ...verbs[verb], id: verbs[verb].operationId, verb, path, group: verbs[verb].tags[0] })));
}

/** Those that hold every word of the search, in path, summary, group or a parameter's name. */
function matching(operations, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return operations.filter((one) => {
    const names = one.parameters.map((parameter) => parameter.name).join(" ");
    const all = `${one.verb} ${one.path} ${one.summary} ${one.group} ${names}`.toLowerCase();
    return words.every((word) => all.includes(word));
  });
}

function grouped(operations) {
  const groups = new Map();
  for (const one of operations) groups.set(one.group, [...(groups.get(one.group) ?? []), one]);
  return [...groups].sort(([a], [b]) => a.localeCompare(b));
}

function List({ operations, chosen }) {
  const [text, setText] = useState("");
  const field = useRef(null);
  useEffect(() => {
    const focus = (event) => {
      if (event.key !== "/" || /^(input|textarea|select)$/i.test(event.target.tagName)) return;
      event.preventDefault();
      field.current.focus();
    };
    addEventListener("keydown", focus);
    return () => removeEventListener("keydown", focus);
  }, []);
  const found = matching(operations, text);
  const openFirst = (event) => {
    event.preventDefault();
    if (found.length) location.hash = link([found[0].id]);
  };
  return html`<nav class="panel operations" aria-label="Operations">
    <form role="search" onSubmit=${openFirst}><label>Search, or press /
      <input ref=${field} type="search" value=${text} maxlength="100"
        onInput=${(event) => setText(event.currentTarget.value)} /></label></form>
    <p class="soft small" role="status">${found.length} of ${operations.length} operations</p>
    ${grouped(found).map(([group, all]) => html`<h2 key=${group}>${group}</h2>
      <ul key=${`${group} list`}>${all.map((one) => html`<li key=${one.id}>
        <a href=${link([one.id])} aria-current=${one.id === chosen ? "true" : null}>
          <span class=${`verb ${one.verb}`}>${one.verb.toUpperCase()}</span>
          <span class="path">${one.path}</span><span class="soft">${one.summary}</span>
        </a></li>`)}</ul>`)}
  </nav>`;
}

function Operation({ api, operation }) {
  const title = useRef(null);
  useEffect(() => title.current.focus(), [operation.id]);
  return html`<div class="stack">
    <section class="panel operation" aria-label=${operation.summary}>
      <header><span class=${`verb ${operation.verb}`}>${operation.verb.toUpperCase()}</span>
        <code>${operation.path}</code></header>
      <h1 ref=${title} tabindex="-1">${operation.summary}</h1>
      ${operation.description !== `${operation.summary}.` && html`<p>${operation.description}</p>`}
      <${Parameters} operation=${operation} />
      <${Body} api=${api} operation=${operation} />
    </section>
    <section class="panel" aria-label="Try it"><header><h2>Try it</h2></header>
      <${Try} key=${operation.id} operation=${operation} /></section>
    <section class="panel" aria-label="Answers"><header><h2>Answers</h2></header>
      <${Answers} api=${api} operation=${operation} /></section>
  </div>`;
}

function Welcome({ api }) {
  return html`<section class="panel" aria-label="About"><h1>${api.info.title} ${api.info.version}</h1>
    <p class="note">${api.info.description}</p>
    <p class="note">Choose an operation from the list. The whole description is${" "}
      <a href="../api-docs">OpenAPI ${api.openapi}</a>, from which clients can be made.</p>
  </section>`;
}

function Reference() {
  const [api, setApi] = useState(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    fetch("../api-docs").then((answer) => {
      if (!answer.ok) throw new Error(`The description could not be read: ${answer.status}.`);
      return answer.json();
    }).then(setApi, (error) => setProblem(error.message));
  }, []);
  const chosen = place.value.parts[0] ?? "";
  const operations = api ? operationsOf(api) : [];
  const operation = operations.find((one) => one.id === chosen);
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to content</a>
    <header class="top"><div class="bar">
      <a class="brand" href="../"><span>Baton</span><span class="face">API</span></a>
      <span class="gap"></span><${Logout} />
    </div></header>
    <main><div class="split reference">
      ${problem && html`<p class="trouble" role="alert"><span>${problem}</span></p>`}
      ${!api && !problem && html`<p class="waiting" role="status">Loading…</p>`}
      ${api && html`<${List} operations=${operations} chosen=${chosen} />`}
      <div id="main" tabindex="-1">
        ${api && (operation ? html`<${Operation} api=${api} operation=${operation} />`
          : html`<${Welcome} api=${api} />`)}
      </div>
    </div></main><${Login} />`;
}

/** The hash names an operation, so the skip link moves the focus by itself. */
function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

begin("../");
start(html`<${Reference} />`);
