// The audit: every change that somebody made, in a chain that shows when a link was touched.

import { getAudit, verifyAudit } from "./api.js";
import { Head, MarkPager } from "./kit.js";
import { may, self } from "./session.js";
import { html, useState } from "./web/dom.js";
import { count, dateTime } from "./web/format.js";
import { JsonView } from "./web/json_view.js";
import { useResource } from "./web/live.js";
import { Empty, Table, Trouble, Waiting } from "./web/parts.js";
import { link } from "./web/router.js";
import { Status } from "./web/status.js";

const HERE = ["audit"];
const PAGE_ROWS = 50;

const COLUMNS = [
  { title: "What", grow: true, cell: (entry) => html`<span class="strong">${entry.action}</span> ${entry.target}` },
  { title: "When", cell: (entry) => dateTime(entry.atMs) },
  { title: "Who", keep: true, cell: (entry) => entry.actor },
  { title: "Tenant", cell: (entry) => entry.tenant },
  { title: "Entry", num: true, cell: (entry) => count(entry.entry) },
  { title: "Detail", bare: true, cell: (entry) => entry.detail !== null && html`<details class="small"><summary>Detail</summary>
    <${JsonView} value=${entry.detail} label=${`Detail of entry ${entry.entry}`} />
    <p class="soft">SHA-256 <code>${entry.digest}</code></p></details>` },
];

export function Page({ query }) {
  const asked = { after: query.after, tenant: query.tenant, limit: PAGE_ROWS };
  const found = useResource((abort) => getAudit(asked, abort), JSON.stringify(asked), { everyMs: 15_000 });
  return html`<${Head} title="Audit" path=${may("access", "admin") && html`<a href=${link(["access"])}>Access</a>`} />
    ${self.value.tenant === "*" && html`<${Verification} />`}
    <${Waiting} resource=${found}>${() => html`<section class="panel flush" aria-label="Entries of the audit">
      ${found.data.entries.length
        ? html`<${Table} label="Audit" columns=${COLUMNS} rows=${found.data.entries} keyOf=${(entry) => entry.entry} />
          <${MarkPager} parts=${HERE} query=${query} rows=${found.data.entries.length} next=${found.data.next} order="newest first" />`
        : html`<${Empty} title="Nobody has changed anything yet">Every change is written down here.<//>`}
    </section>`}<//>`;
}

function Verification() {
  const [state, setState] = useState({});
  const look = async () => {
    setState({ busy: true });
    try {
      setState({ verdict: await verifyAudit() });
    } catch (error) {
      setState({ error });
    }
  };
  const { verdict, busy, error } = state;
  return html`<section class="panel" aria-label="The chain">
    <div class="row"><button type="button" disabled=${busy} onClick=${look}>Verify the chain</button>
      <span aria-live="polite">${busy ? "Looking at every entry…" : verdict && html`<${Status}
        value=${verdict.whole ? "done" : "failed"} label=${verdict.whole ? `Whole: ${count(verdict.entries)} entries`
          : `Broken at entry ${count(verdict.brokenAt)}`} />`}</span></div>
    <${Trouble} error=${error} />
    ${verdict?.whole && html`<p class="small soft note">Write the last digest down elsewhere; a chain that was cut off at its
      end is whole, too: <code>${verdict.lastDigest}</code></p>`}
  </section>`;
}
