// One campaign: how far its orders have come, which devices are in which state, and stopping it.

import { getCampaign, getMembers, stopCampaign } from "./api.js";
import { PROGRESS, Progress } from "./charts.js";
import { Choice, Head, MarkPager, attempt, refine } from "./kit.js";
import { CampaignState } from "./order_parts.js";
import { may } from "./session.js";
import { html } from "./web/dom.js";
import { count, dateTime } from "./web/format.js";
import { JsonView } from "./web/json_view.js";
import { useResource } from "./web/live.js";
import { Ago, Empty, Facts, Panel, Table, Waiting, ask } from "./web/parts.js";
import { link } from "./web/router.js";
import { Status } from "./web/status.js";

const PAGE_ROWS = 50;

const COLUMNS = [
  { title: "Device", grow: true, cell: (row) => row.device },
  { title: "State", bare: true, cell: (row) => html`<${Status} value=${row.state} />` },
  { title: "Why", cell: (row) => row.reason ?? "–" },
  { title: "Place", num: true, cell: (row) => count(row.place) },
  { title: "Order", cell: (row) => (row.orderId
    ? html`<a class="above" href=${link(["orders", row.orderId])}>Its order</a>` : "–") },
];

export function Page({ campaign: id, query }) {
  const here = ["campaigns", id];
  const found = useResource((abort) => getCampaign(id, abort), id, {
    affects: (change) => change.name === "device", everyMs: 3000, leastMs: 1000,
  });
  const one = found.data;
  const stop = async () => {
    const yes = await ask({ title: "Stop this campaign?", action: "Stop", danger: true,
      text: "No more orders are given, and what was not sent is taken back. What was sent may be carried out." });
    if (!yes) return;
    await attempt(() => stopCampaign(id), "The campaign is stopped");
    found.reload();
  };
  return html`<${Head} path=${html`<a href=${link(["campaigns"])}>Campaigns</a>`} title=${one?.title || "Campaign"}
      beside=${one && html`<${CampaignState} campaign=${one} />`}>
      ${one?.state === "running" && may("orders", "operator") && html`<button type="button" class="danger"
        onClick=${stop}>Stop</button>`}
    <//>
    <${Waiting} resource=${found}>${() => html`
      <${Panel} title="How far it has come"><${Progress} progress=${one.progress}
        href=${(state) => link(here, { state: state === query.state ? "" : state })} /><//>
      <div class="split"><${Members} id=${id} query=${query} here=${here} />
      <div class="stack"><${Panel} title="The campaign"><${Facts} facts=${[
        ["Devices", count(one.members)], ["Orders in a minute", count(one.perMinute)], ["Kind", one.kind],
        ["Made", html`<${Ago} at=${one.createdMs} />`], ["By", one.createdBy], ["Good until", dateTime(one.expiresMs)],
        ["Found by", html`<code>${one.query || "all devices"}</code>`], ["Id", html`<code>${one.id}</code>`],
      ]} /><h3>What it says</h3><${JsonView} value=${one.body} label="Body of the orders" />
        ${one.condition && html`<h3>Only if</h3><${JsonView} value=${one.condition} label="Condition" />`}<//></div></div>`}<//>`;
}

function Members({ id, query, here }) {
  const { state, after } = query;
  const asked = { state, after, limit: PAGE_ROWS };
  const found = useResource((abort) => getMembers(id, asked, abort), JSON.stringify(asked), {
    affects: (change) => change.name === "device", everyMs: 5000, leastMs: 1000,
  });
  return html`<section class="panel flush" aria-label="Devices of the campaign">
    <div class="toolbar"><${Choice} label="State" value=${state ?? ""} options=${[["", "Any"], ...PROGRESS]}
      onText=${(word) => refine(here, query, { state: word })} /></div>
    <${Waiting} resource=${found}>${() => (found.data.members.length
      ? html`<${Table} label="Devices of the campaign" columns=${COLUMNS} rows=${found.data.members}
          keyOf=${(row) => row.place} href=${(row) => link(["devices", row.device])} />
        <${MarkPager} parts=${here} query=${query} rows=${found.data.members.length} next=${found.data.next}
          words=${["Previous", "Next"]} />`
      : html`<${Empty} title="No device is in this state" />`)}<//>
  </section>`;
}
