// Trying an operation: a form made of its description, one request, and what came back.
// Nothing is sent before the button is pressed.

import { firstContent } from "./reference_schema.js";
import { ask, headers } from "./session.js";
import { html, useState } from "./web/dom.js";
import { readExactly } from "./web/json_text.js";
import { JsonView } from "./web/json_view.js";

const SHOWN_CHARACTERS = 200_000;
const PATIENCE_MS = 60_000;

/** The address of a request, relative to this page; empty parameters are left out. */
function addressOf(operation, values) {
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name) =>
    (values[`path ${name}`] ?? "").split("/").map(encodeURIComponent).join("/"));
  const query = new URLSearchParams();
  for (const one of operation.parameters.filter((parameter) => parameter.in === "query")) {
    const value = values[`query ${one.name}`] ?? "";
    const parts = one.schema.type === "array" ? value.split(",").map((part) => part.trim()) : [value];
    for (const part of parts) if (part !== "") query.append(one.name, part);
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/** The same request for a shell; single quotes are closed and opened again around their own. */
function asCurl(verb, address, type, body) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const url = new URL(`..${address}`, location.href.split("#")[0]).href;
  const parts = [`curl -X ${verb.toUpperCase()} ${quoted(url)}`];
  if (body) parts.push(`-H ${quoted(`Content-Type: ${type}`)}`, `-d ${quoted(body)}`);
  return parts.join(" \\\n  ");
}

function firstBody(operation) {
  if (!operation.requestBody) return "";
  const { type, schema, example } = firstContent(operation.requestBody.content);
  if (example !== undefined) return JSON.stringify(example, null, 2);
  if (!type.includes("json")) return "";
  return schema?.type === "array" ? "[]" : "{}";
}

async function request(verb, address, type, body) {
  const options = { method: verb.toUpperCase(), signal: AbortSignal.timeout(PATIENCE_MS), headers: headers() };
  if (body) Object.assign(options, { body, headers: { ...headers(), "Content-Type": type } });
  const began = performance.now();
  const answer = await fetch(`..${address}`, options);
  if (answer.status === 401 && address.split("?")[0] !== "/api/token") {
    await ask();
    return request(verb, address, type, body);
  }
  const kind = answer.headers.get("content-type") ?? "";
  const isText = kind === "" || /^text\/|json/.test(kind);
  const content = isText ? await answer.text() : `${(await answer.blob()).size} bytes`;
  return {
    status: answer.status, phrase: answer.statusText, kind, content,
    tookMs: Math.round(performance.now() - began),
  };
}

export function Try({ operation }) {
  const [values, setValues] = useState({});
  const [body, setBody] = useState(() => firstBody(operation));
  const [outcome, setOutcome] = useState(null);
  const [busy, setBusy] = useState(false);
  const { type } = firstContent(operation.requestBody?.content);
  const streams = "text/event-stream" in (operation.responses["200"]?.content ?? {});
  const address = addressOf(operation, values);
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      setOutcome(await request(operation.verb, address, type, body));
    } catch (error) {
      setOutcome({ failed: error.name === "TimeoutError" ? "No answer within a minute." : error.message });
    }
    setBusy(false);
  };
  if (streams) {
    return html`<p class="soft">A stream has no end; <a href=${`..${address}`}>open it</a> by itself.</p>`;
  }
  return html`<form class="stack" onSubmit=${send}>
    <div class="inputs">${operation.parameters.map((one) => html`<${Input}
      key=${`${one.in} ${one.name}`} parameter=${one} value=${values[`${one.in} ${one.name}`] ?? ""}
      change=${(value) => setValues({ ...values, [`${one.in} ${one.name}`]: value })} />`)}</div>
    ${operation.requestBody && html`<label>Body, ${type}
      <textarea spellcheck="false" value=${body}
        onInput=${(event) => setBody(event.currentTarget.value)} /></label>`}
    <details><summary class="small">As a command</summary>
      <pre class="log">${asCurl(operation.verb, address, type, body)}</pre></details>
    <div><button type="submit" class=${operation.verb === "delete" ? "danger" : "primary"} disabled=${busy}>
      Send</button></div>
  </form><${Outcome} outcome=${outcome} />`;
}

function Input({ parameter, value, change }) {
  const { name, required, schema } = parameter;
  const label = `${name}${required ? ", required" : ""}`;
  const note = (event) => change(event.currentTarget.value);
  if (schema.type === "boolean") {
    return html`<label>${label}<select value=${value} onChange=${note}>
      <option value="">as by default</option><option>true</option><option>false</option>
    </select></label>`;
  }
  const hint = schema.default === undefined ? "" : String(schema.default);
  return html`<label>${label}<input type="text" value=${value} required=${required}
    placeholder=${schema.type === "array" ? "one, two" : hint}
    inputmode=${schema.type === "integer" ? "numeric" : "text"} onInput=${note} /></label>`;
}

function parsed(outcome) {
  if (!outcome.kind.includes("json")) return undefined;
  try {
    const value = readExactly(outcome.content);
    return value !== null && typeof value === "object" ? value : undefined;
  } catch {
    return undefined;
  }
}

function Outcome({ outcome }) {
  if (!outcome) return html`<div role="status"></div>`;
  if (outcome.failed) return html`<p class="trouble" role="alert"><span>${outcome.failed}</span></p>`;
  const value = parsed(outcome);
  return html`<div class="outcome note" role="status">
    <div class="line"><strong class=${outcome.status < 400 ? "tone-good" : "tone-bad"}>
      ${outcome.status} ${outcome.phrase}</strong>
      <span class="soft small">${outcome.tookMs} ms</span>
      <span class="soft small">${outcome.kind || "no body"}</span></div>
    ${value === undefined
      ? outcome.content && html`<pre class="log">${outcome.content.slice(0, SHOWN_CHARACTERS)}</pre>`
      : html`<${JsonView} value=${value} label="Answer" />`}
  </div>`;
}
