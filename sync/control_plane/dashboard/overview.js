// The fleet at one look: how its devices are, what they do, what needs somebody.

import { STATES, getAlerts, getCampaigns, getFigures, getNotices, getOrders, getSummary } from "./api.js";
import { Bars, HourGraph, Progress } from "./charts.js";
import { Head } from "./kit.js";
import { quoted } from "./searchbox.js";
import { may } from "./session.js";
import { html } from "./web/dom.js";
import { count, duration } from "./web/format.js";
import { now, useResource } from "./web/live.js";
import { Ago, Empty, Facts, Figure, Panel, Waiting } from "./web/parts.js";
import { link } from "./web/router.js";
import { Status, wordOf } from "./web/status.js";

const HOURS = 24;
/** What the figures count, as a search finds it. */
const RECENT = `started:newer:${HOURS}h`;
const ROWS = 6;
const LEAST_MS = 2000;

export function Page() {
  const found = useResource((abort) => getFigures({ hours: HOURS }, abort), "figures", {
    affects: () => true, everyMs: 15_000, leastMs: LEAST_MS,
  });
  return html`<${Head} title="Overview" />
    <${Waiting} resource=${found}>${() => html`<${Whole} figures=${found.data} />`}<//>`;
}

function Whole({ figures }) {
  const total = STATES.reduce((sum, state) => sum + figures.states[state], 0);
  if (!total) return html`<div class="panel"><${NoDevice} /></div>`;
  return html`<${Tiles} figures=${figures} />
    <div class="split even">
      <div class="stack">
        <${Panel} title=${`Executions in ${HOURS} hours`}>
          <${HourGraph} hours=${figures.hours} nowMs=${now.value - (now.value % 60_000)} span=${HOURS} />
        <//>
        <${Workflows} workflows=${figures.workflows} />
        <${Releases} versions=${figures.versions} />
        <${Sync} />
      </div>
      <div class="stack">
        ${may("alerts") && html`<${Firing} />`}
        <${Panel} title="Devices by state"><${Bars} label="Devices by state" rows=${
          STATES.map((state) => ({
            name: wordOf(state), value: figures.states[state], status: state,
            href: link(["devices"], { q: `state:${state}` }),
          }))} /><//>
        ${may("orders") && html`<${Orders} /><${Campaigns} />`}
        <${Notices} />
      </div>
    </div>`;
}

function Tiles({ figures }) {
  const sum = (field) => figures.hours.reduce((total, hour) => total + hour[field], 0);
  return html`<div class="tiles">
    ${STATES.map((state) => html`<${Figure} key=${state} status=${state} label=${wordOf(state)}
      value=${figures.states[state]} href=${link(["devices"], { q: `state:${state}` })} />`)}
    <${Figure} label="Executions, 24 h" value=${sum("executions")}
      href=${link(["executions"], { q: RECENT })} />
    <${Figure} label="Failures, 24 h" status="FAILED" value=${sum("failures")}
      href=${link(["executions"], { q: `status:FAILED,TIMED_OUT ${RECENT}` })} />
  </div>`;
}

function Workflows({ workflows }) {
  const rows = [...workflows].sort((a, b) => b.executions - a.executions).slice(0, ROWS)
    .map((one) => ({
      name: one.name, value: one.executions, part: one.failures,
      note: one.failures ? `${count(one.failures)} failed` : "",
      href: link(["executions"], { q: `workflow:${quoted(one.name)} ${RECENT}` }),
    }));
  return html`<${Panel} title="Workflows that ran most">
    <${Bars} label="Workflows" rows=${rows} empty=${`Nothing has run in ${HOURS} hours.`} /><//>`;
}

function Releases({ versions }) {
  const all = Object.entries(versions).sort((a, b) => b[1] - a[1]);
  const rows = all.slice(0, ROWS).map(([version, value]) => ({
    name: version || "not said yet", value,
    href: version ? link(["devices"], { q: `version:${quoted(version)}` }) : null,
  }));
  const rest = all.slice(ROWS).reduce((sum, one) => sum + one[1], 0);
  if (rest) rows.push({ name: `${all.length - ROWS} others`, value: rest });
  return html`<${Panel} title="Devices by release"><${Bars} label="Devices by release" rows=${rows} /><//>`;
}

/** A panel with some lines of something that is a page of its own. */
function Some({ title, resource, all, rows, empty, line }) {
  return html`<${Panel} title=${title} aside=${all && html`<a class="small" href=${all}>All</a>`}>
    <${Waiting} resource=${resource}>${() => (rows().length
      ? html`<ul class="lines">${rows().map(line)}</ul>`
      : html`<p class="soft">${empty}</p>`)}<//>
  <//>`;
}

function Firing() {
  const found = useResource((abort) => getAlerts({ state: "firing", limit: ROWS }, abort), "firing",
    { everyMs: 5000 });
  return html`<${Some} title="Alerts that are firing" resource=${found} all=${link(["alerts"])}
    rows=${() => found.data.alerts} empty="None. Rules say what is watched."
    line=${(one) => html`<li key=${one.alertId}><${Status} value=${one.state} label=${one.rule} />
      <span>${one.subject} <span class="soft">${one.value}</span></span><${Ago} at=${one.firedMs} /></li>`} />`;
}

function Orders() {
  const found = useResource((abort) => getOrders({ open: true, limit: ROWS }, abort), "open", {
    affects: (change) => change.name === "device", everyMs: 10_000, leastMs: LEAST_MS,
  });
  return html`<${Some} title="Open orders" resource=${found} all=${link(["orders"], { open: "true" })}
    rows=${() => found.data.orders} empty="Every order has come to something."
    line=${(one) => html`<li key=${one.id}><${Status} value=${one.state} />
      <span><a href=${link(["orders", one.id])}>${one.kind}</a> to ${one.device}
        <span class="soft"> waits for ${one.waitsFor}</span></span><${Ago} at=${one.issuedMs} /></li>`} />`;
}

function Campaigns() {
  const found = useResource((abort) => getCampaigns({ limit: 2 * ROWS }, abort), "campaigns",
    { everyMs: 15_000 });
  const running = () => found.data.campaigns.filter((one) => one.state === "running"
    || one.progress.queued + one.progress.sent > 0).slice(0, ROWS);
  return html`<${Some} title="Campaigns under way" resource=${found} all=${link(["campaigns"])}
    rows=${running} empty="None. A campaign gives one order to many devices."
    line=${(one) => html`<li key=${one.id} class="wide">
      <a href=${link(["campaigns", one.id])}>${one.title || one.kind}</a>
      <${Progress} progress=${one.progress} label=${one.title || one.kind} /></li>`} />`;
}

function Notices() {
  const found = useResource((abort) => getNotices({ newest: true, limit: ROWS }, abort), "notices",
    { everyMs: 30_000 });
  return html`<${Some} title="Notices" resource=${found} rows=${() => found.data.notices}
    empty="Nothing that a person should know of."
    line=${(one) => html`<li key=${one.noticeId}>
      <a href=${link(["devices", one.device])}>${one.device}</a>
      <span class="soft">${one.text}${one.times > 1 ? ` (${count(one.times)} times)` : ""}</span>
      <${Ago} at=${one.lastMs} /></li>`} />`;
}

/** How history arrives; what is wrong is only there when something is. */
function Sync() {
  const found = useResource(getSummary, "summary", { everyMs: 5000 });
  return html`<${Panel} title="How history arrives"><${Waiting} resource=${found}>${() => {
    const state = found.data;
    const lag = (field) => (state.syncLag?.records ? duration(state.syncLag[field]) : "–");
    return html`<div role="group" aria-label="Fleet in figures"><${Facts} facts=${[
      ["Devices online", `${count(state.online)} of ${count(state.devices)}`],
      state.syncLag && ["Sync lag p50", lag("p50Ms")],
      state.syncLag && ["Sync lag p99", lag("p99Ms")],
      ["Records stored", count(state.records)],
      ["On their way", count(state.backlog)],
      state.missing > 0 && ["Dropped by devices", count(state.missing)],
      state.projectionLag > 0 && ["Stored, not shown yet", count(state.projectionLag)],
      state.quarantined > 0 && ["In quarantine", html`<strong class="bad-text">${count(state.quarantined)}</strong>`],
      state.unread > 0 && ["Not readable", html`<strong class="bad-text">${count(state.unread)}</strong>`],
      state.ledgerTrouble && ["Ledger", html`<strong class="bad-text">takes nothing in</strong>`],
      state.brokerConnected === false && ["Broker", html`<strong class="bad-text">not connected</strong>`],
    ]} /></div>`;
  }}<//><//>`;
}

function NoDevice() {
  const summary = useResource(getSummary, "broker");
  return html`<${Empty} title="No device has reported yet">
    ${summary.data?.brokerConnected === false
      ? html`The control plane is not connected to its broker: start the broker, or correct its
          address in the configuration. Devices keep their history until then.`
      : html`Start one that sends to the same broker; it appears here by itself:
          <pre>baton run --config device.toml</pre>`}
  <//>`;
}
