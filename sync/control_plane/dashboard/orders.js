// Orders to all devices, newest first, and those to one.

import { getOfDevice, getOrders } from "./api.js";
import { ActionLink, Choice, Field, Head, MarkPager, refine } from "./kit.js";
import { orderColumns } from "./order_parts.js";
import { may } from "./session.js";
import { html, useLayoutEffect, useState } from "./web/dom.js";
import { useResource } from "./web/live.js";
import { Empty, Table, Waiting } from "./web/parts.js";
import { link } from "./web/router.js";

const HERE = ["orders"];
const PAGE_ROWS = 50;
const KINDS = ["start", "pause", "resume", "retry", "restart", "terminate", "put-workflow",
  "put-task", "put-config", "fetch-journal", "fetch-task-logs", "fetch-file", "fetch-execution"];
const STATES = [["", "Any"], ["open", "Open"], ["done", "Done"], ["failed", "Failed"],
  ["expired", "Expired"], ["superseded", "Superseded"]];

export function Page({ query }) {
  const { device, kind, after } = query;
  const state = query.open ? "open" : query.ended ?? "";
  const asked = { kind, after, limit: PAGE_ROWS, open: query.open, ended: query.ended };
  const load = (abort) => (device ? getOfDevice(device, "orders", asked, abort) : getOrders(asked, abort));
  const found = useResource(load, JSON.stringify({ device, ...asked }), {
    affects: (change) => change.name === "device" && (!device || change.device === device),
    everyMs: 10_000, leastMs: 1000,
  });
  return html`<${Head} title="Orders">
      <${ActionLink} href=${link(["campaigns"])}>Campaigns<//>
      ${may("orders", "operator") && html`<${ActionLink} primary href=${link(["orders", "new"])}>New order<//>`}
    <//>
    <${Filters} query=${query} state=${state} />
    <${Waiting} resource=${found}>${() => {
      const { orders, next } = found.data;
      if (!orders.length) return html`<div class="panel"><${Nothing} query=${query} /></div>`;
      return html`<section class="panel flush" aria-label="Orders that were found">
        <${Table} label="Orders" columns=${orderColumns({ done: found.reload })} rows=${orders}
          keyOf=${(row) => row.id} href=${(row) => link(["orders", row.id])} />
        <${MarkPager} parts=${HERE} query=${query} rows=${orders.length} next=${next} order="newest first" />
      </section>`;
    }}<//>`;
}

function Filters({ query, state }) {
  const [device, setDevice] = useState(query.device ?? "");
  useLayoutEffect(() => setDevice(query.device ?? ""), [query.device]);
  const submit = (event) => {
    event.preventDefault();
    refine(HERE, query, { device: device.trim() });
  };
  return html`<form class="filters" role="search" onSubmit=${submit}>
    <${Field} label="Device" value=${device} onText=${setDevice} maxlength="64" placeholder="Whole name, then Enter" />
    <${Choice} label="State" value=${state} options=${STATES}
      onText=${(word) => refine(HERE, query, word === "open" ? { open: "true", ended: "" } : { open: "", ended: word })} />
    <${Choice} label="Kind" value=${query.kind ?? ""} options=${[["", "Any"], ...KINDS]}
      onText=${(kind) => refine(HERE, query, { kind })} />
  </form>`;
}

function Nothing({ query }) {
  const { device, kind, open, ended, after } = query;
  if (device || kind || open || ended || after) {
    return html`<${Empty} title="No order matches"><a href=${link(HERE)}>Show all orders</a>.<//>`;
  }
  return html`<${Empty} title="No order was given yet">An order tells a device to start, steer or take
    something, once it is there.${may("orders", "operator")
      && html` <a href=${link(["orders", "new"])}>Give one</a>.`}<//>`;
}
