// The devices of the fleet: who is there, how far their history has come, how they are doing.

import { getDevices, getSummary } from "./api.js";
import { html } from "./web/dom.js";
import { count } from "./web/format.js";
import { useResource } from "./web/live.js";
import { Ago, Empty, Figure, Table, Waiting } from "./web/parts.js";
import { go, link } from "./web/router.js";
import { Status } from "./web/status.js";

const STATES = ["online", "lagging", "offline"];

const COLUMNS = [
  { title: "Device", grow: true, cell: (device) => device.device },
  { title: "State", bare: true, cell: (device) => html`<${Status} value=${device.state} />` },
  { title: "Last seen", cell: (device) => html`<${Ago} at=${device.lastSeenMs} />` },
  { title: "Synced to", cell: (device) => html`<${Ago} at=${device.syncedToMs} />` },
  { title: "Backlog", num: true, cell: (device) => count(device.backlog) },
  { title: "Executions, 24 h", num: true, cell: (device) => atLeast(device.recent, "executions") },
  { title: "Failures, 24 h", num: true, cell: (device) => html`<span
      class=${device.recent.failures ? "bad-text strong" : ""}>${atLeast(device.recent, "failures")}</span>` },
  { title: "Records", num: true, cell: (device) => count(device.records) },
  { title: "Version", cell: (device) => device.version || "–" },
];

/** A count that stopped at a limit says so. */
function atLeast(recent, field) {
  return `${count(recent[field])}${recent.partial ? "+" : ""}`;
}

export function Devices({ query }) {
  const found = useResource(getDevices, "devices", { affects: () => true, everyMs: 15_000 });
  return html`<h1>Devices</h1>
    <${Waiting} resource=${found}>${() => {
      const all = found.data.devices;
      if (!all.length) return html`<div class="panel"><${NoDevice} /></div>`;
      const wanted = (query.text ?? "").trim().toLowerCase();
      const shown = all.filter((device) => (!query.state || device.state === query.state)
        && device.device.toLowerCase().includes(wanted));
      return html`<${Figures} devices=${all} />
        <${Filters} query=${query} />
        <section class="panel flush" aria-label="Devices of the fleet">
          ${shown.length
            ? html`<${Table} label="Devices" columns=${COLUMNS} rows=${shown}
                keyOf=${(device) => device.device}
                href=${(device) => link(["executions"], { device: device.device })} />`
            : html`<${Empty} title="No device matches">
                <a href=${link(["devices"])}>Show all ${count(all.length)} devices</a>.<//>`}
        </section>`;
    }}<//>`;
}

function Figures({ devices }) {
  const partial = devices.some((device) => device.recent.partial);
  const sum = (field) =>
    `${count(devices.reduce((total, device) => total + device.recent[field], 0))}${partial ? "+" : ""}`;
  return html`<div class="tiles">
    ${STATES.map((state) => html`<${Figure} key=${state} status=${state}
      label=${state.charAt(0).toUpperCase() + state.slice(1)}
      value=${devices.filter((device) => device.state === state).length}
      href=${link(["devices"], { state })} />`)}
    <${Figure} label="Executions, 24 h" value=${sum("executions")} href=${link(["executions"])} />
    <${Figure} label="Failures, 24 h" status="FAILED" value=${sum("failures")}
      href=${link(["executions"], { status: "FAILED" })} />
  </div>`;
}

function Filters({ query }) {
  const set = (field) => (event) =>
    go(["devices"], { ...query, [field]: event.currentTarget.value }, { replace: true });
  return html`<form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
    <label class="wide">Name<input type="search" value=${query.text ?? ""} maxlength="64"
      placeholder="Part of a device's name" onInput=${set("text")} /></label>
    <label>State<select value=${query.state ?? ""} onChange=${set("state")}>
      <option value="">Any</option>
      ${STATES.map((state) => html`<option key=${state} value=${state}>${state}</option>`)}
    </select></label>
  </form>`;
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
