// The workflow definitions on this device: the list, each one's JSON, and a form that starts it.

import { getDefinitions, startWorkflow } from "./api.js";
import { html, useState } from "./web/dom.js";
import { count } from "./web/format.js";
import { readExactly } from "./web/json_text.js";
import { JsonView } from "./web/json_view.js";
import { DiagramPanel } from "./web/lazy_diagram.js";
import { useResource } from "./web/live.js";
import { Empty, Facts, Panel, Trouble, Waiting, tell } from "./web/parts.js";
import { go, link } from "./web/router.js";

/** The definitions in the order of their names, the newest version of each first. */
function inOrder(definitions) {
  return [...definitions].sort((a, b) => a.name.localeCompare(b.name) || b.version - a.version);
}

const counted = (many) => `${count(many)} ${many === 1 ? "task" : "tasks"}`;

/** Every task of a definition, those inside branches and loops too. */
function countTasks(tasks) {
  return (tasks ?? []).reduce((sum, task) => sum + 1 + countTasks(task.defaultCase)
    + countTasks(task.loopOver) + countTasks((task.forkTasks ?? []).flat())
    + countTasks(Object.values(task.decisionCases ?? {}).flat()), 0);
}

export function Definitions({ name, version }) {
  const found = useResource(getDefinitions, "definitions");
  return html`<h1>Definitions</h1>
    <${Waiting} resource=${found}>${() => {
      const all = inOrder(found.data);
      if (!all.length) return html`<div class="panel"><${NoDefinition} /></div>`;
      const shown = all.find((one) => one.name === name && (!version || String(one.version) === version))
        ?? (name ? null : all[0]);
      return html`<div class="split list">
        <nav class="panel flush" aria-label="Definitions"><ul class="choices">
          ${all.map((one) => html`<li key=${`${one.name} ${one.version}`}>
            <a href=${link(["definitions", one.name, String(one.version)])}
              aria-current=${one === shown ? "true" : null}>${one.name}
              <span class="soft">version ${one.version} · ${counted(countTasks(one.tasks))}</span>
            </a></li>`)}
        </ul></nav>
        ${shown ? html`<${Definition} key=${`${shown.name} ${shown.version}`} definition=${shown} />`
          : html`<div class="panel"><${Empty} title=${`There is no definition ${name}`}>
              Choose one from the list.<//></div>`}
      </div>`;
    }}<//>`;
}

function Definition({ definition }) {
  return html`<div class="stack">
    <${Panel} title=${definition.name}>
      ${definition.description && html`<p class="described">${definition.description}</p>`}
      <${Facts} facts=${[
        ["Version", String(definition.version)], ["Tasks", count(countTasks(definition.tasks))],
        ["Time limit", definition.timeoutSeconds ? `${definition.timeoutSeconds} s` : "none"],
        definition.ownerEmail && ["Owner", definition.ownerEmail],
      ]} />
    <//>
    <${DiagramPanel} definition=${definition} />
    <${Panel} title="Start"><${StartForm} definition=${definition} /><//>
    <${Panel} title="Definition">
      <${JsonView} value=${definition} label=${`Definition ${definition.name}`} /><//>
  </div>`;
}

/** The input the form begins with: what the definition names, empty where it gives no default. */
function firstInput(definition) {
  const named = Object.fromEntries((definition.inputParameters ?? []).map((name) => [name, ""]));
  return JSON.stringify({ ...named, ...(definition.inputTemplate ?? {}) }, null, 2);
}

/** What the tasks read of the input, by name, beyond what the definition says that it takes. */
function alsoRead({ tasks, outputParameters, inputParameters = [], inputTemplate }) {
  const said = JSON.stringify([tasks, outputParameters]);
  const names = [...said.matchAll(/\$\{workflow\.input\.([A-Za-z_]\w*)/g)].map((found) => found[1]);
  const known = new Set([...inputParameters, ...Object.keys(inputTemplate ?? {})]);
  return [...new Set(names)].filter((name) => !known.has(name));
}

/** What is wrong with the text as an input; "" when nothing is. */
function faultOf(text) {
  try {
    const value = JSON.parse(text);
    if (value === null || typeof value !== "object" || Array.isArray(value)) {
      return 'The input must be a JSON object, for example {"camera": "front"}.';
    }
    return "";
  } catch (error) {
    return `This is not JSON yet: ${error.message}`;
  }
}

function StartForm({ definition }) {
  const [text, setText] = useState(() => firstInput(definition));
  const [correlationId, setCorrelationId] = useState("");
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const fault = faultOf(text);
  const read = alsoRead(definition);
  const start = async (event) => {
    event.preventDefault();
    if (fault) return;
    setBusy(true);
    setProblem(null);
    try {
      const workflowId = await startWorkflow({
        name: definition.name, version: definition.version, input: readExactly(text), correlationId,
      });
      tell(`Started ${definition.name}.`);
      go(["workflows", String(workflowId)]);
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  return html`<form class="stack" onSubmit=${start}>
    <label>Input, a JSON object
      <textarea spellcheck="false" value=${text} aria-invalid=${fault ? "true" : "false"}
        aria-describedby="input-fault input-read" onInput=${(event) => setText(event.currentTarget.value)} />
    </label>
    <p id="input-fault" class="small bad-text" aria-live="polite" hidden=${!fault}>${fault}</p>
    <p id="input-read" class="small soft" hidden=${!read.length}>Its tasks read ${read.map((name, index) => html`${
      index > 0 && ", "}<code key=${name}>${name}</code>`)}.</p>
    <label>Correlation id (optional)
      <input type="text" maxlength="200" value=${correlationId}
        onInput=${(event) => setCorrelationId(event.currentTarget.value)} /></label>
    <${Trouble} error=${problem} />
    <div><button type="submit" class="primary" disabled=${busy || Boolean(fault)}>Start workflow</button></div>
  </form>`;
}

function NoDefinition() {
  return html`<${Empty} title="No workflow is defined on this device">
    Push a folder with one, then come back:
    <pre>baton workflow push FOLDER --url ${location.origin}</pre><//>`;
}
