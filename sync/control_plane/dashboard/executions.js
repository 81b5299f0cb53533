// Workflow executions of all devices: search, page through, watch them come in, choose two to compare.

import { STATUSES, getExecutions } from "./api.js";
import { executionColumns } from "./execution_columns.js";
import { Head, MarkPager, Tick, refine } from "./kit.js";
import { EXECUTION_FIELDS, SearchBox, queryProblem, wantedOf, withTerm } from "./searchbox.js";
import { html, useEffect, useState } from "./web/dom.js";
import { dateTime, words } from "./web/format.js";
import { useResource } from "./web/live.js";
import { Empty, Table, Waiting } from "./web/parts.js";
import { link } from "./web/router.js";
import { Shape } from "./web/status.js";

const PAGE_ROWS = 25;
const HERE = ["executions"];
const keyOf = (row) => `${row.device}/${row.workflowId}`;

export function Page({ query }) {
  const { q, after } = query;
  const follows = query.follow !== "no";
  const asked = { q, after, limit: PAGE_ROWS };
  const found = useResource((abort) => getExecutions(asked, abort), JSON.stringify(asked), {
    affects: (change) => follows && change.name === "execution", leastMs: 1000,
  });
  const [picked, setPicked] = useState(new Set());
  useEffect(() => setPicked(new Set()), [q, after]);
  useEffect(() => {
    // What came while nobody followed is asked for when somebody does again.
    if (follows) found.reload();
  }, [follows]);
  const refused = queryProblem(found);
  return html`<${Head} title="Executions">
      <${Tick} label="Follow live" checked=${follows}
        onTick=${(yes) => refine(HERE, query, { follow: yes ? "" : "no" })} />
    <//>
    <${SearchBox} label="Search executions" value=${q} fields=${EXECUTION_FIELDS}
      placeholder="workflow:video_analysis -status:COMPLETED started:newer:2h" problem=${refused}
      onSearch=${(text) => refine(HERE, query, { q: text })} />
    <${Statuses} query=${query} />
    ${!refused && html`<${Waiting} resource=${found}>${() => html`<${Found} query=${query}
      found=${found.data} picked=${picked} onPick=${setPicked} />`}<//>`}`;
}

/** The statuses, each a link that narrows the list to it, or widens it again. */
function Statuses({ query }) {
  const chosen = wantedOf(query.q, "status");
  return html`<nav class="tabs" aria-label="Executions by status">
    ${["", ...STATUSES].map((status) => html`<a key=${status} aria-current=${status === chosen ? "true" : null}
      href=${link(HERE, { ...query, q: withTerm(query.q, "status", status), after: "", from: "" })}>
      ${status && html`<${Shape} status=${status} />`}${status ? words(status) : "All"}</a>`)}
  </nav>`;
}

function Found({ query, found, picked, onPick }) {
  const { executions, next, lookedTo } = found;
  if (!executions.length && !next) return html`<div class="panel"><${Nothing} query=${query} /></div>`;
  const [left, right] = [...picked];
  return html`<section class="panel flush" aria-label="Found executions">
    <div class="toolbar">${right && picked.size === 2
      ? html`<a class="button" href=${link(["compare"], { left, right })}>Compare the two</a>`
      : html`<span class="soft">Choose two to compare them.</span>`}</div>
    <${Table} label="Executions" columns=${executionColumns()} rows=${executions} keyOf=${keyOf}
      href=${(row) => link(["executions", row.device, row.workflowId])} picked=${picked} onPick=${onPick} />
    ${next && executions.length < PAGE_ROWS && html`<p class="soft looked">Looked back to ${
      dateTime(lookedTo)}; Older looks further.</p>`}
    <${MarkPager} parts=${HERE} query=${query} rows=${executions.length} next=${next} order="newest first" />
  </section>`;
}

function Nothing({ query }) {
  if (query.q || query.after) {
    return html`<${Empty} title="Nothing matches">
      <a href=${link(HERE)}>Clear the search</a> to see every execution.<//>`;
  }
  return html`<${Empty} title="No execution has arrived yet">
    Executions appear here by themselves once a device runs a workflow and reaches the broker. See
    which <a href=${link(["devices"])}>devices</a> are there.<//>`;
}
