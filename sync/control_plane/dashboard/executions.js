// Workflow executions of all devices: filter, page through, watch them come in.

import { STATUSES, getDevices, getExecutions } from "./api.js";
import { html, useEffect, useState } from "./web/dom.js";
import { count, duration, shortId, words } from "./web/format.js";
import { isOpen, lengthOf } from "./web/execution_view.js";
import { now, useResource } from "./web/live.js";
import { Ago, Empty, Pager, Table, Waiting } from "./web/parts.js";
import { go, link } from "./web/router.js";
import { Status } from "./web/status.js";

const PAGE_ROWS = 25;
const TYPING_PAUSE_MS = 250;

const COLUMNS = [
  { title: "Workflow", grow: true, cell: (row) => row.workflowType },
  { title: "Device", cell: (row) => row.device },
  { title: "Status", bare: true, cell: (row) => html`<${Status} value=${row.status} />` },
  { title: "Started", cell: (row) => html`<${Ago} at=${row.startTime} />` },
  { title: "Duration", num: true, cell: (row) => html`<${Length} row=${row} />` },
  { title: "Id", cell: (row) => html`<code title=${row.workflowId}>${shortId(row.workflowId)}</code>` },
];

function Length({ row }) {
  return duration(lengthOf(row, isOpen(row) ? now.value : 0));
}

export function Executions({ query }) {
  const { device, status, name, text } = query;
  const filters = JSON.stringify({ device, status, name, text });
  // The ledger pages by a mark, not by a number: the marks of the pages before lead back.
  const [marks, setMarks] = useState({ filters, list: [] });
  const list = marks.filters === filters ? marks.list : [];
  const asked = { device, status, name, text, after: list.at(-1), limit: PAGE_ROWS };
  const found = useResource((abort) => getExecutions(asked, abort), JSON.stringify(asked), {
    affects: (change) => change.name === "execution" && (!device || change.device === device),
  });
  const first = list.length * PAGE_ROWS + 1;
  return html`<h1>Executions</h1>
    <${Filters} query=${query} />
    <${Waiting} resource=${found}>${() => {
      const rows = found.data.executions;
      if (!rows.length) return html`<div class="panel"><${NothingFound} query=${query} /></div>`;
      return html`<section class="panel flush" aria-label="Found executions">
        <${Table} label="Executions" columns=${COLUMNS} rows=${rows}
          keyOf=${(row) => `${row.device} ${row.workflowId}`}
          href=${(row) => link(["executions", row.device, row.workflowId])} />
        <${Pager} text=${`${count(first)} to ${count(first + rows.length - 1)}, newest first`}
          previous=${list.length > 0 && (() => setMarks({ filters, list: list.slice(0, -1) }))}
          next=${found.data.next && (() => setMarks({ filters, list: [...list, found.data.next] }))} />
      </section>`;
    }}<//>`;
}

/** A text field that asks only when the typing pauses. */
function Typed({ label, value, placeholder, onText, wide }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text.trim() === value) return undefined;
    const timer = setTimeout(() => onText(text.trim()), TYPING_PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<label class=${wide ? "wide" : ""}>${label}<input type="search" value=${text}
    maxlength="200" placeholder=${placeholder}
    onInput=${(event) => setText(event.currentTarget.value)} /></label>`;
}

function Filters({ query }) {
  const devices = useResource(getDevices, "names");
  const set = (field, value, replace) => go(["executions"], { ...query, [field]: value }, { replace });
  const choose = (field) => (event) => set(field, event.currentTarget.value, false);
  const names = (devices.data?.devices ?? []).map((one) => one.device);
  if (query.device && !names.includes(query.device)) names.unshift(query.device);
  return html`<form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
    <${Typed} label="Text" wide value=${query.text ?? ""} placeholder="Id, correlation, reason…"
      onText=${(value) => set("text", value, true)} />
    <label>Device<select value=${query.device ?? ""} onChange=${choose("device")}>
      <option value="">Any</option>
      ${names.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
    </select></label>
    <label>Status<select value=${query.status ?? ""} onChange=${choose("status")}>
      <option value="">Any</option>
      ${STATUSES.map((one) => html`<option key=${one} value=${one}>${words(one)}</option>`)}
    </select></label>
    <${Typed} label="Workflow name" value=${query.name ?? ""} placeholder="Exact name"
      onText=${(value) => set("name", value, true)} />
  </form>`;
}

function NothingFound({ query }) {
  if (Object.values(query).some(Boolean)) {
    return html`<${Empty} title="Nothing matches">
      <a href=${link(["executions"])}>Clear the filters</a> to see every execution.<//>`;
  }
  return html`<${Empty} title="No execution has arrived yet">
    Executions appear here by themselves once a device runs a workflow and reaches the broker. See
    which <a href=${link(["devices"])}>devices</a> are there.<//>`;
}
