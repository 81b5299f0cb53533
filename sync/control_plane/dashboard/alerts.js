// Alerts: what rules have found, and who looks after it.

import { acknowledge, getAlerts } from "./api.js";
import { ActionLink, Head, MarkPager, Tabs, attempt } from "./kit.js";
import { may } from "./session.js";
import { html } from "./web/dom.js";
import { useResource } from "./web/live.js";
import { Ago, Empty, Table, Waiting } from "./web/parts.js";
import { link } from "./web/router.js";
import { Status } from "./web/status.js";

const HERE = ["alerts"];
const PAGE_ROWS = 50;
const STATES = [["firing", "Firing"], ["pending", "Pending"], ["resolved", "Resolved"], ["all", "All"]];

export function Page({ query }) {
  const state = query.state ?? "firing";
  const asked = { state: state === "all" ? "" : state, after: query.after, limit: PAGE_ROWS };
  const found = useResource((abort) => getAlerts(asked, abort), JSON.stringify(asked), { everyMs: 5000 });
  const take = async (alert) => {
    await attempt(() => acknowledge(alert.alertId), `You look after ${alert.subject || alert.rule}`);
    found.reload();
  };
  const columns = [
    { title: "Subject", grow: true, cell: (alert) => alert.subject || "the rule itself" },
    { title: "State", bare: true, cell: (alert) => html`<${Status} value=${alert.state} />` },
    { title: "Rule", cell: (alert) => alert.rule },
    { title: "What was found", cell: (alert) => alert.value },
    { title: "Since", cell: (alert) => html`<${Ago} at=${alert.sinceMs} />` },
    state !== "firing" && { title: "Resolved", cell: (alert) => (alert.resolvedMs ? html`<${Ago} at=${alert.resolvedMs} />` : "–") },
    { title: "Looked after by", cell: (alert) => alert.acknowledgedBy || (alert.state === "firing" && may("alerts", "operator")
      ? html`<button type="button" class="quiet" aria-label=${`Acknowledge ${alert.rule} for ${alert.subject}`}
          onClick=${() => take(alert)}>Acknowledge</button>` : "–") },
  ].filter(Boolean);
  return html`<${Head} title="Alerts">
      <${ActionLink} href=${link(["alerts", "rules"])}>Rules<//>
      ${may("alerts", "admin") && html`<${ActionLink} href=${link(["alerts", "channels"])}>Channels<//>`}
    <//>
    <${Tabs} label="Alerts by state" parts=${HERE} name="state" tabs=${STATES} chosen=${state} />
    <${Waiting} resource=${found}>${() => html`<section class="panel flush" aria-label="Alerts" aria-live="polite">
      ${found.data.alerts.length
        ? html`<${Table} label="Alerts" columns=${columns} rows=${found.data.alerts} keyOf=${(alert) => alert.alertId} />
          <${MarkPager} parts=${HERE} query=${query} rows=${found.data.alerts.length} next=${found.data.next} order="newest first" />`
        : html`<${Empty} title=${state === "firing" ? "Nothing is firing" : "There is none"}>
            What is watched is said by <a href=${link(["alerts", "rules"])}>rules</a>.<//>`}
    </section>`}<//>`;
}
