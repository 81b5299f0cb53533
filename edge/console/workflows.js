// The list of workflow executions on this device: search, filter, page, live.

import { STATUSES, getDefinitions, searchWorkflows } from "./api.js";
import { html, useEffect, useLayoutEffect, useState } from "./web/dom.js";
import { count, duration, shortId, words } from "./web/format.js";
import { isOpen, lengthOf } from "./web/execution_view.js";
import { now, useResource } from "./web/live.js";
import { Ago, Empty, Pager, Table, Trouble, Waiting } from "./web/parts.js";
import { go, link } from "./web/router.js";
import { Status } from "./web/status.js";

const PAGE_ROWS = 25;
const TYPING_PAUSE_MS = 250;

/** The columns of a list of workflows, here and on the overview. */
export function workflowColumns() {
  return [
    { title: "Workflow", grow: true, cell: (row) => row.workflowType },
    { title: "Status", bare: true, cell: (row) => html`<${Status} value=${row.status} />` },
    { title: "Started", cell: (row) => html`<${Ago} at=${row.startTime} />` },
    { title: "Duration", num: true, cell: (row) => html`<${Length} row=${row} />` },
    { title: "Id", cell: (row) => html`<code title=${row.workflowId}>${shortId(row.workflowId)}</code>` },
  ];
}

function Length({ row }) {
  return duration(lengthOf(row, isOpen(row) ? now.value : 0));
}

export function Workflows({ query }) {
  const start = Math.max(0, Number.parseInt(query.start, 10) || 0);
  const asked = { name: query.name, status: query.status, text: query.text, start, size: PAGE_ROWS };
  const found = useResource((abort) => searchWorkflows(asked, abort), JSON.stringify(asked), {
    affects: (change) => change.name === "workflow",
  });
  const turn = (to) => go(["workflows"], { ...query, start: to || "" });
  return html`<h1>Workflows</h1>
    <${Filters} query=${query} />
    <${Waiting} resource=${found}>${() => {
      const { totalHits, results } = found.data;
      if (!results.length) return html`<div class="panel"><${NothingFound} query=${query} /></div>`;
      const last = start + results.length;
      return html`<section class="panel flush" aria-label="Found workflows">
        <${Table} label="Workflows" columns=${workflowColumns()} rows=${results}
          keyOf=${(row) => row.workflowId} href=${(row) => link(["workflows", row.workflowId])} />
        <${Pager} text=${`${count(start + 1)} to ${count(last)} of ${count(totalHits)}`}
          previous=${start > 0 && (() => turn(Math.max(0, start - PAGE_ROWS)))}
          next=${last < totalHits && (() => turn(start + PAGE_ROWS))} />
      </section>`;
    }}<//>`;
}

function Filters({ query }) {
  const definitions = useResource(getDefinitions, "names");
  const [text, setText] = useState(query.text ?? "");
  useLayoutEffect(() => {
    // The address holds the text without its last blank, which stays where somebody is writing on.
    if (text.trim() !== (query.text ?? "")) setText(query.text ?? "");
  }, [query.text]);
  useEffect(() => {
    const wanted = text.trim();
    if (wanted === (query.text ?? "")) return undefined;
    const timer = setTimeout(() => {
      go(["workflows"], { ...query, text: wanted, start: "" }, { replace: true });
    }, TYPING_PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const set = (field) => (event) =>
    go(["workflows"], { ...query, [field]: event.currentTarget.value, start: "" });
  const names = [...new Set((definitions.data ?? []).map((definition) => definition.name))].sort();
  if (query.name && !names.includes(query.name)) names.unshift(query.name);
  return html`<form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
    <label class="wide">Text<input type="search" value=${text} maxlength="200"
      placeholder="Id, correlation, input, output…"
      onInput=${(event) => setText(event.currentTarget.value)} /></label>
    <label>Workflow<select value=${query.name ?? ""} onChange=${set("name")}>
      <option value="">Any</option>
      ${names.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
    </select></label>
    <label>Status<select value=${query.status ?? ""} onChange=${set("status")}>
      <option value="">Any</option>
      ${STATUSES.map((status) => html`<option key=${status} value=${status}>${words(status)}</option>`)}
    </select></label>
  </form><${Trouble} error=${definitions.error} />`;
}

function NothingFound({ query }) {
  if (query.name || query.status || query.text || query.start) {
    return html`<${Empty} title="Nothing matches">
      <a href=${link(["workflows"])}>Clear the filters</a> to see every workflow.<//>`;
  }
  return html`<${Empty} title="No workflow has run yet">
    Start one from its <a href=${link(["definitions"])}>definition</a>, or wait for a camera to trip
    one.<//>`;
}
