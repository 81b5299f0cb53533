// The columns of a list of executions, wherever one stands.

import { html } from "./web/dom.js";
import { isOpen, lengthOf } from "./web/execution_view.js";
import { duration, shortId, toMillis } from "./web/format.js";
import { now } from "./web/live.js";
import { Ago } from "./web/parts.js";
import { link } from "./web/router.js";
import { Status } from "./web/status.js";

/** Two clocks never agree to the second. */
const AHEAD_MS = 90_000;

/** When it began by our clock, and that its device's is wrong, where that is bound to be. */
function Started({ row }) {
  const ahead = toMillis(row.startTime) > now.value + AHEAD_MS;
  return html`<${Ago} at=${row.beganTime} />${ahead && html`<span class="sub">its clock is fast</span>`}`;
}

function Length({ row }) {
  return duration(lengthOf(row, isOpen(row) ? now.value : 0));
}

/** `device` says whether the rows are of several devices. */
export function executionColumns({ device = true } = {}) {
  return [
    { title: "Workflow", grow: true, cell: (row) => row.workflowType },
    device && { title: "Device", cell: (row) => html`<a class="above"
      href=${link(["devices", row.device])}>${row.device}</a>` },
    { title: "Status", bare: true, cell: (row) => html`<${Status} value=${row.status} />` },
    { title: "Started", cell: (row) => html`<${Started} row=${row} />` },
    { title: "Duration", num: true, cell: (row) => html`<${Length} row=${row} />` },
    { title: "Id", cell: (row) => html`<code title=${row.workflowId}>${shortId(row.workflowId)}</code>` },
  ].filter(Boolean);
}
