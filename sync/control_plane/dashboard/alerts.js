// Alerts: what rules have found, and who looks after it.

import { acknowledge, getAlerts, getRules } from "./api.js";
import { ActionLink, Head, MarkPager, Tabs, attempt } from "./kit.js";
import { quoted } from "./searchbox.js";
import { may } from "./session.js";
import { html, useState } from "./web/dom.js";
import { count } from "./web/format.js";
import { useResource } from "./web/live.js";
import { Ago, Empty, Table, Waiting } from "./web/parts.js";
import { link } from "./web/router.js";
import { Status } from "./web/status.js";

const HERE = ["alerts"];
const PAGE_ROWS = 50;
const STATES = [["firing", "Firing"], ["pending", "Pending"], ["resolved", "Resolved"], ["all", "All"]];

/** Whether an alert waits for somebody to look after it. */
const isFree = (alert) => alert.state === "firing" && !alert.acknowledgedBy;

/** What an alert is about, as a way to it: a device, or the failures of a workflow. */
function Subject({ alert: { subject }, rule }) {
  if (!subject) return "the rule itself";
  if (!rule) return subject;
  const ofWorkflow = rule.kind === "failure-rate" && rule.by === "workflow";
  return ofWorkflow
    ? html`<a href=${link(["executions"], { q: `workflow:${quoted(subject)} status:FAILED` })}>${subject}</a>`
    : html`<a href=${link(["devices", subject])}>${subject}</a>`;
}

export function Page({ query }) {
  const state = query.state ?? "firing";
  const asked = { state: state === "all" ? "" : state, after: query.after, limit: PAGE_ROWS };
  const found = useResource((abort) => getAlerts(asked, abort), JSON.stringify(asked), { everyMs: 5000 });
  const rules = useResource(getRules, "rules");
  const [picked, setPicked] = useState(new Set());
  const mayTake = may("alerts", "operator");
  const shown = found.data?.alerts ?? [];
  const chosen = shown.filter((alert) => picked.has(alert.alertId) && isFree(alert));
  const takeChosen = async () => {
    await attempt(async () => {
      for (const alert of chosen) await acknowledge(alert.alertId);
    }, `You look after ${count(chosen.length)} ${chosen.length === 1 ? "alert" : "alerts"}`);
    setPicked(new Set());
    found.reload();
  };
  const take = async (alert) => {
    await attempt(() => acknowledge(alert.alertId), `You look after ${alert.subject || alert.rule}`);
    found.reload();
  };
  const columns = [
    { title: "Subject", grow: true, cell: (alert) => html`<${Subject} alert=${alert}
      rule=${rules.data?.rules.find((one) => one.name === alert.rule)?.rule} />` },
    { title: "State", bare: true, cell: (alert) => html`<${Status} value=${alert.state} />` },
    { title: "Rule", cell: (alert) => alert.rule },
    { title: "What was found", wide: true, cell: (alert) => alert.value },
    { title: "Since", cell: (alert) => html`<${Ago} at=${alert.sinceMs} />` },
    state !== "firing" && { title: "Resolved", cell: (alert) => (alert.resolvedMs ? html`<${Ago} at=${alert.resolvedMs} />` : "–") },
    { title: "Looked after by", cell: (alert) => alert.acknowledgedBy || (isFree(alert) && mayTake
      ? html`<button type="button" class="quiet" aria-label=${`Acknowledge ${alert.rule} for ${alert.subject}`}
          onClick=${() => take(alert)}>Acknowledge</button>` : "–") },
  ].filter(Boolean);
  return html`<${Head} title="Alerts">
      <${ActionLink} href=${link(["alerts", "rules"])}>Rules<//>
      ${may("alerts", "admin") && html`<${ActionLink} href=${link(["alerts", "channels"])}>Channels<//>`}
    <//>
    <${Tabs} label="Alerts by state" parts=${HERE} name="state" tabs=${STATES} chosen=${state} />
    <${Waiting} resource=${found}>${() => html`<section class="panel flush" aria-label="Alerts">
      ${found.data.alerts.length
        ? html`${mayTake && shown.some(isFree) && html`<div class="toolbar" role="group" aria-label="With the chosen alerts">
            ${chosen.length ? html`<strong aria-live="polite">${count(chosen.length)} chosen</strong>
              <button type="button" onClick=${takeChosen}>Acknowledge them</button>` : html`<span class="soft">Choose alerts to look after them together.</span>`}</div>`}
          <${Table} label="Alerts" columns=${columns} rows=${shown} keyOf=${(alert) => alert.alertId}
            nameOf=${(alert) => `${alert.rule} for ${alert.subject}`} picked=${picked} onPick=${mayTake && shown.some(isFree) && setPicked} />
          <${MarkPager} parts=${HERE} query=${query} rows=${found.data.alerts.length} next=${found.data.next} order="newest first" />`
        : html`<${Empty} title=${state === "firing" ? "Nothing is firing" : "There is none"}>
            What is watched is said by <a href=${link(["alerts", "rules"])}>rules</a>.<//>`}
    </section>`}<//>`;
}
