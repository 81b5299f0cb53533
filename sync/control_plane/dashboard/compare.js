// Two runs side by side: which steps differ, by how much, and each place in which payloads do.

import { getComparison, getExecution, getExecutions } from "./api.js";
import { executionColumns } from "./execution_columns.js";
import { Head, MarkPager, Tick, refine } from "./kit.js";
import { EXECUTION_FIELDS, SearchBox, queryProblem } from "./searchbox.js";
import { html } from "./web/dom.js";
import { lengthOf } from "./web/execution_view.js";
import { dateTime, duration } from "./web/format.js";
import { DiagramPanel } from "./web/lazy_diagram.js";
import { now, useResource } from "./web/live.js";
import { Empty, Facts, Panel, Table, Trouble, Waiting } from "./web/parts.js";
import { go, link } from "./web/router.js";
import { Status } from "./web/status.js";

const HERE = ["compare"];
const PAGE_ROWS = 25;

/** `DEVICE/ID` as its two parts. */
function partsOf(name) {
  const at = name.indexOf("/");
  return [name.slice(0, at), name.slice(at + 1)];
}

/** Whether a text is `DEVICE/ID`; addresses are typed and cut off by people, too. */
const namesRun = (name) => name && /^[^/]+\/[^/]+$/.test(name);

export function Page({ query: given }) {
  const wrong = ["left", "right"].filter((side) => given[side] && !namesRun(given[side]));
  const query = { ...given, ...Object.fromEntries(wrong.map((side) => [side, undefined])) };
  const { left, right } = query;
  return html`<${Head} title="Compare two runs" path=${html`<a href=${link(["executions"])}>Executions</a>`} />
    ${wrong.map((side) => html`<${Trouble} key=${side} error=${{ message:
      `The address names no run as the ${side} one: “${given[side]}” is not a device and an id with a slash between.` }} />`)}
    <div class="two">
      <${Side} title="Left" name=${left} other=${{ right }} />
      <${Side} title="Right" name=${right} other=${{ left }} />
    </div>
    ${left && right ? html`<${Both} query=${query} />`
      : html`<${Chooser} query=${query} side=${left ? "right" : "left"} />`}`;
}

function Side({ title, name, other }) {
  if (!name) return html`<${Panel} title=${title}><p class="soft">Choose a run below.</p><//>`;
  return html`<${Run} key=${name} title=${title} name=${name} other=${other} />`;
}

function Run({ title, name, other }) {
  const [device, workflowId] = partsOf(name);
  const found = useResource((abort) => getExecution(device, workflowId, abort), name, {
    affects: (change) => change.workflowId === workflowId,
  });
  return html`<${Panel} title=${title} aside=${html`<a class="small" href=${link(HERE, other)}>Another one</a>`}>
    <${Waiting} resource=${found}>${() => {
      const run = found.data;
      return html`<p><a class="strong" href=${link(["executions", device, workflowId])}>${run.workflowName}</a>
          ${" "}<${Status} value=${run.status} /></p>
        <${Facts} facts=${[["Device", device], ["Started", dateTime(run.startTime)],
          ["Duration", duration(lengthOf(run, run.endTime ? 0 : now.value))], ["Version", run.workflowVersion],
          ["Workflow id", html`<code>${workflowId}</code>`]]} />`;
    }}<//><//>`;
}

/** The run that is still missing, picked from a list. */
function Chooser({ query, side }) {
  const asked = { q: query.q, after: query.after, limit: PAGE_ROWS };
  const found = useResource((abort) => getExecutions(asked, abort), JSON.stringify(asked));
  const refused = queryProblem(found);
  const other = query.left ?? query.right;
  return html`<${SearchBox} label=${`Find the ${side} run`} value=${query.q} fields=${EXECUTION_FIELDS}
      placeholder="workflow:video_analysis status:COMPLETED" problem=${refused}
      onSearch=${(q) => refine(HERE, query, { q })} />
    ${!refused && html`<${Waiting} resource=${found}>${() => {
      const rows = found.data.executions.filter((row) => `${row.device}/${row.workflowId}` !== other);
      if (!rows.length && !found.data.next) return html`<div class="panel"><${Empty} title="No other run matches">Search for something else.<//></div>`;
      return html`<section class="panel flush" aria-label="Runs to choose from">
        <${Table} label="Runs to choose from" columns=${executionColumns()} rows=${rows}
          keyOf=${(row) => `${row.device}/${row.workflowId}`}
          href=${(row) => link(HERE, { left: query.left, right: query.right, [side]: `${row.device}/${row.workflowId}` })} />
        <${MarkPager} parts=${HERE} query=${query} rows=${rows.length} next=${found.data.next} order="newest first" />
      </section>`;
    }}<//>`}`;
}

function Both({ query }) {
  const { left, right } = query;
  const found = useResource((abort) => getComparison({ left, right }, abort), `${left} ${right}`, {
    affects: (change) => left.endsWith(`/${change.workflowId}`) || right.endsWith(`/${change.workflowId}`),
  });
  return html`<${Waiting} resource=${found}>${() => html`<${Result} result=${found.data} query=${query} />
    <div class="two">
      <${RunDiagram} key=${left} title="Diagram, left" name=${left} steps=${found.data.steps} />
      <${RunDiagram} key=${right} title="Diagram, right" name=${right} steps=${found.data.steps} />
    </div>`}<//>`;
}

/** What differs in each step, by its reference, over all its iterations and attempts. */
function differencesOf(steps) {
  const found = new Map();
  for (const step of steps.filter((one) => one.differs)) {
    const said = wordsOf(step);
    const before = found.get(step.ref) ?? [];
    found.set(step.ref, [...before, ...said.filter((word) => !before.includes(word))]);
  }
  return new Map([...found].map(([ref, said]) => [ref, said.join(", ")]));
}

/** One of the two runs as a graph, what differs marked; a step leads to its task. */
function RunDiagram({ title, name, steps }) {
  const [device, workflowId] = partsOf(name);
  const found = useResource((abort) => getExecution(device, workflowId, abort), name, {
    affects: (change) => change.workflowId === workflowId,
  });
  if (!found.data) return null;
  const linkOf = (child) => link(["executions", device, child]);
  return html`<${DiagramPanel} title=${title} definition=${found.data.workflowDefinition} tasks=${found.data.tasks}
    differing=${differencesOf(steps)} linkOf=${linkOf}
    onSelect=${(taskId) => go(["executions", device, workflowId, "task", taskId])} />`;
}

/** "+1.2 s": how much longer the right one took. */
const change = (millis) => (millis === 0 ? "±0" : `${millis > 0 ? "+" : "−"}${duration(Math.abs(millis))}`);

function Result({ result, query }) {
  const only = query.only === "differing";
  const steps = result.steps.filter((step) => step.differs || !only);
  const differing = result.steps.filter((step) => step.differs).length;
  const taken = result.leftDurationMs >= 0 && result.rightDurationMs >= 0
    ? change(result.rightDurationMs - result.leftDurationMs) : "–";
  return html`<${Panel} title="What differs" aside=${html`<${Tick} label="Only what differs" checked=${only}
      onTick=${(yes) => go(HERE, { ...query, only: yes ? "differing" : "" }, { replace: true })} />`}>
    <${Facts} facts=${[
      ["Workflow", result.sameWorkflow ? "the same" : html`<strong>another one</strong>`],
      result.sameWorkflow && ["Version", result.sameVersion ? "the same" : html`<strong>another one</strong>`],
      ["Status", result.sameStatus ? "the same" : html`<strong>another one</strong>`],
      ["Duration, right less left", taken],
      ["Steps that differ", `${differing} of ${result.steps.length}`],
      ["First of them", result.firstDifference ?? "none"],
    ]} />
    <${Places} title="Input" places=${result.input} /><${Places} title="Output" places=${result.output} />
  <//>
  <section class="panel flush" aria-label="Steps">
    ${steps.length ? html`<${Steps} steps=${steps} />` : html`<${Empty} title="No step differs" />`}
  </section>`;
}

function Steps({ steps }) {
  return html`<table role="table"><caption class="unseen">Steps side by side</caption>
    <thead role="rowgroup"><tr role="row">${["Step", "Left", "Right", "Right less left", "Differs"].map((title) => html`
      <th role="columnheader" scope="col" key=${title}>${title}</th>`)}</tr></thead>
    <tbody role="rowgroup">${steps.map((step) => html`<tr role="row" class=${step.differs ? "differing" : ""}
        key=${`${step.ref} ${step.iteration} ${step.attempt}`}>
      <td role="cell" class="grow"><span class=${step.differs ? "differs" : ""}>${step.ref}</span>
        ${step.attempt > 0 && html`<span class="soft"> attempt ${step.attempt + 1}</span>`}
        ${step.iteration > 0 && html`<span class="soft"> iteration ${step.iteration}</span>`}
        <${Places} title="Input" places=${step.input} /><${Places} title="Output" places=${step.output} /></td>
      <td role="cell" data-label="Left"><${Half} side=${step.left} /></td>
      <td role="cell" data-label="Right"><${Half} side=${step.right} /></td>
      <td role="cell" data-label="Right less left">${step.left && step.right ? change(step.durationChangeMs) : "–"}</td>
      <td role="cell" data-label="Differs">${whatDiffers(step)}</td></tr>`)}</tbody></table>`;
}

/** What differs in a step, in words. */
function wordsOf(step) {
  if (!step.left) return ["only right"];
  if (!step.right) return ["only left"];
  return [!step.sameStatus && "status", step.input.length && "input", step.output.length && "output"].filter(Boolean);
}

const whatDiffers = (step) => wordsOf(step).join(", ") || html`<span class="soft">no</span>`;

function Half({ side }) {
  if (!side) return html`<span class="soft">not reached</span>`;
  return html`<span><${Status} value=${side.status} />${" "}
    <span class="soft">${side.durationMs >= 0 ? duration(side.durationMs) : ""}</span>
    ${side.reason && html`<span class="sub">${side.reason}</span>`}</span>`;
}

/** Each place in which two payloads differ, with both values. */
function Places({ title, places }) {
  if (!places.length) return null;
  const text = (value) => JSON.stringify(value);
  return html`<details class="places small"><summary>${
      `${title} differs in ${places.length} ${places.length === 1 ? "place" : "places"}`}</summary>
    <table><caption class="unseen">${title}: places that differ</caption>
      <thead><tr><th scope="col">Place</th><th scope="col">Left</th><th scope="col">Right</th></tr></thead>
      <tbody>${places.map((place) => html`<tr key=${place.path}><td><code>${place.path}</code></td>
        <td data-label="Left"><code class="left">${place.kind === "added" ? "–" : text(place.left)}</code></td>
        <td data-label="Right"><code class="right">${place.kind === "removed" ? "–" : text(place.right)}</code></td>
      </tr>`)}</tbody></table></details>`;
}
