// A page of devices as a table, for the list of all of them and for groups.

import { html } from "./web/dom.js";
import { count } from "./web/format.js";
import { Ago, Table } from "./web/parts.js";
import { link } from "./web/router.js";
import { Status } from "./web/status.js";
import { Tags } from "./kit.js";
import { quoted } from "./searchbox.js";

/** A count that stopped at a limit says so. */
const atLeast = (recent, field) => `${count(recent[field])}${recent.partial ? "+" : ""}`;

const COLUMNS = [
  { title: "Device", grow: true, cell: (device) => device.device },
  { title: "State", bare: true, cell: (device) => html`<${Status} value=${device.state} />` },
  { title: "Last seen", cell: (device) => html`<${Ago} at=${device.lastSeenMs} />` },
  { title: "Synced to", cell: (device) => html`<${Ago} at=${device.syncedToMs} />` },
  { title: "Backlog", num: true, cell: (device) => count(device.backlog) },
  { title: "Executions, 24 h", num: true, cell: (device) => atLeast(device.recent, "executions") },
  { title: "Failures, 24 h", num: true, cell: (device) => html`<span
      class=${device.recent.failures ? "bad-text strong" : ""}>${atLeast(device.recent, "failures")}</span>` },
  { title: "Release", cell: (device) => device.version || "–" },
  { title: "Tags", cell: (device) => html`<${Tags} tags=${device.tags}
      href=${(tag) => link(["devices"], { q: `tag:${quoted(tag)}` })} />` },
];

/** `picked` and `onPick` as `Table` takes them; `more` are columns behind the others. */
export function DeviceTable({ label, devices, picked, onPick, more = [] }) {
  return html`<${Table} label=${label} columns=${[...COLUMNS, ...more]} rows=${devices}
    keyOf=${(device) => device.device} href=${(device) => link(["devices", device.device])}
    picked=${picked} onPick=${onPick} />`;
}
