// The fleet dashboard: which page stands under which address, and the frame around them.
// What a page shows stands in the file of that page.

import { getSummary } from "./api.js";
import { Devices } from "./devices.js";
import { Execution } from "./execution.js";
import { Executions } from "./executions.js";
import { html, start } from "./web/dom.js";
import { count, duration } from "./web/format.js";
import { followStream, useResource } from "./web/live.js";
import { Empty, Frame } from "./web/parts.js";
import { link, place } from "./web/router.js";

const PAGES = [
  { path: "devices", title: "Devices" },
  { path: "executions", title: "Executions" },
];

function Page() {
  const { parts, query } = place.value;
  const [page = "devices", device, workflowId, , taskId] = parts;
  if (page === "devices") return html`<${Devices} query=${query} />`;
  if (page === "executions" && device && workflowId) {
    return html`<${Execution} key=${`${device} ${workflowId}`} device=${device}
      workflowId=${workflowId} selected=${taskId ?? ""} />`;
  }
  if (page === "executions") return html`<${Executions} query=${query} />`;
  return html`<${Empty} title="There is no such page"><a href=${link([])}>Go to the devices</a><//>`;
}

/** The figures that stand above every page. */
function Strip() {
  const summary = useResource(getSummary, "summary", { affects: () => true, everyMs: 5000 });
  const state = summary.data;
  if (!state) return html`<div class="strip"><dl><div><dt>${summary.error?.message ?? "Loading…"}</dt></div></dl></div>`;
  const figures = [
    ["Devices online", `${count(state.online)} of ${count(state.devices)}`],
    ["Sync lag p50", lag(state.syncLag, "p50Ms")],
    ["p99", lag(state.syncLag, "p99Ms")],
    ["Records stored", count(state.records)],
    ["On their way", count(state.backlog)],
    state.missing > 0 && ["Dropped by devices", count(state.missing)],
    state.quarantined > 0 && ["In quarantine", count(state.quarantined)],
    state.unread > 0 && ["Not readable", count(state.unread)],
    state.brokerConnected === false && ["Broker", "not connected"],
  ].filter(Boolean);
  return html`<div class="strip"><dl aria-label="Fleet in figures">
    ${figures.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl></div>`;
}

function lag(report, field) {
  return report?.records ? duration(report[field]) : "–";
}

followStream("api/v1/stream", ["device", "execution"]);
start(html`<${Frame} title="Fleet" pages=${PAGES} strip=${html`<${Strip} />`}><${Page} /><//>`);
