// Campaigns: one order to many devices, and how far each has come.

import { getCampaigns } from "./api.js";
import { Progress } from "./charts.js";
import { ActionLink, Head } from "./kit.js";
import { may } from "./session.js";
import { html } from "./web/dom.js";
import { count } from "./web/format.js";
import { useResource } from "./web/live.js";
import { Ago, Empty, Table, Waiting } from "./web/parts.js";
import { link } from "./web/router.js";
import { Status } from "./web/status.js";

const SHOWN = 100;

const COLUMNS = [
  { title: "Campaign", grow: true, cell: (row) => row.title || row.kind },
  { title: "State", bare: true, cell: (row) => html`<${Status} value=${row.state} />` },
  { title: "Devices", num: true, cell: (row) => count(row.members) },
  { title: "Done", num: true, cell: (row) => count(row.progress.done) },
  { title: "Failed", num: true, cell: (row) => html`<span class=${row.progress.failed ? "bad-text strong" : ""}>${
    count(row.progress.failed)}</span>` },
  { title: "Progress", bare: true, cell: (row) => html`<${Progress} progress=${row.progress} label=${row.title || row.kind} />` },
  { title: "Made", cell: (row) => html`<${Ago} at=${row.createdMs} />` },
  { title: "By", keep: true, cell: (row) => row.createdBy },
];

export function Page() {
  const found = useResource((abort) => getCampaigns({ limit: SHOWN }, abort), "campaigns", {
    affects: (change) => change.name === "device", everyMs: 5000, leastMs: 2000,
  });
  return html`<${Head} title="Campaigns" path=${html`<a href=${link(["orders"])}>Orders</a>`}>
      ${may("orders", "operator") && html`<${ActionLink} primary href=${link(["orders", "new"], { to: "group" })}>
        New campaign<//>`}
    <//>
    <${Waiting} resource=${found}>${() => {
      const rows = found.data.campaigns;
      return html`<section class="panel flush" aria-label="The newest campaigns">${rows.length
        ? html`<${Table} label="Campaigns" columns=${COLUMNS} rows=${rows} keyOf=${(row) => row.id}
            href=${(row) => link(["campaigns", row.id])} />
          ${rows.length === SHOWN && html`<p class="soft looked">The newest ${SHOWN} are shown.</p>`}`
        : html`<${Empty} title="No campaign was made yet">A campaign gives one order to many devices, so many
            a minute. <a href=${link(["orders", "new"], { to: "group" })}>Make one</a>.<//>`}
      </section>`;
    }}<//>`;
}
