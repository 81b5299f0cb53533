// Campaigns: one order to many devices, and how far each has come.

import { getCampaigns } from "./api.js";
import { Progress } from "./charts.js";
import { ActionLink, Head, MarkPager } from "./kit.js";
import { CampaignState } from "./order_parts.js";
import { may } from "./session.js";
import { html } from "./web/dom.js";
import { count } from "./web/format.js";
import { useResource } from "./web/live.js";
import { Ago, Empty, Table, Waiting } from "./web/parts.js";
import { link } from "./web/router.js";

// How far each has come is counted anew each time, so a page of them is short.
const PAGE_ROWS = 20;

const COLUMNS = [
  { title: "Campaign", grow: true, cell: (row) => row.title || row.kind },
  { title: "State", bare: true, cell: (row) => html`<${CampaignState} campaign=${row} />` },
  { title: "Devices", num: true, cell: (row) => count(row.members) },
  { title: "Done", num: true, cell: (row) => count(row.progress.done) },
  { title: "Failed", num: true, cell: (row) => html`<span class=${row.progress.failed ? "bad-text strong" : ""}>${
    count(row.progress.failed)}</span>` },
  { title: "Progress", bare: true, cell: (row) => html`<${Progress} progress=${row.progress} label=${row.title || row.kind} />` },
  { title: "Made", cell: (row) => html`<${Ago} at=${row.createdMs} />` },
  { title: "By", keep: true, cell: (row) => row.createdBy },
];

export function Page({ query }) {
  const asked = { after: query.after, limit: PAGE_ROWS };
  const found = useResource((abort) => getCampaigns(asked, abort), JSON.stringify(asked), { everyMs: 5000 });
  return html`<${Head} title="Campaigns" path=${html`<a href=${link(["orders"])}>Orders</a>`}>
      ${may("orders", "operator") && html`<${ActionLink} primary href=${link(["orders", "new"], { to: "group" })}>
        New campaign<//>`}
    <//>
    <${Waiting} resource=${found}>${() => {
      const rows = found.data.campaigns;
      return html`<section class="panel flush" aria-label="The newest campaigns">${rows.length
        ? html`<${Table} label="Campaigns" columns=${COLUMNS} rows=${rows} keyOf=${(row) => row.id}
            href=${(row) => link(["campaigns", row.id])} />
          <${MarkPager} parts=${["campaigns"]} query=${query} rows=${rows.length} next=${found.data.next}
            order="newest first" />`
        : html`<${Empty} title="No campaign was made yet">A campaign gives one order to many devices, so many
            a minute.${may("orders", "operator")
              && html` <a href=${link(["orders", "new"], { to: "group" })}>Make one</a>.`}<//>`}
      </section>`;
    }}<//>`;
}
