// One execution of one device, as far as its history has arrived, and what can be ordered about it.

import { evidenceUrl, getExecution, steer } from "./api.js";
import { ActionLink } from "./kit.js";
import { FollowOrder } from "./order_parts.js";
import { quoted } from "./searchbox.js";
import { may } from "./session.js";
import { html } from "./web/dom.js";
import { ExecutionView } from "./web/execution_view.js";
import { bytes, dateTime, duration, toMillis } from "./web/format.js";
import { useResource } from "./web/live.js";
import { Ago, Waiting, ask, tell } from "./web/parts.js";
import { go, link, place } from "./web/router.js";

/** A clock that is not further off is right for people. */
const RIGHT_MS = 5000;
const ENDED = new Set(["COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED"]);

/** What can be ordered about an execution in a status, each with what it asks first. */
const ACTIONS = [
  { action: "pause", title: "Pause", fits: (status) => status === "RUNNING",
    text: "No further step begins until it is resumed; steps that run go on." },
  { action: "resume", title: "Resume", fits: (status) => status === "PAUSED", text: "It goes on where it stands." },
  { action: "retry", title: "Retry", fits: (status) => ENDED.has(status) && status !== "COMPLETED",
    text: "What has failed is tried once more; what is done stays done." },
  { action: "restart", title: "Restart", fits: (status) => ENDED.has(status),
    text: "It runs again from its beginning, under the same id." },
  { action: "terminate", title: "Terminate", fits: (status) => !ENDED.has(status), danger: true,
    field: "Reason", text: "It ends here; steps that have not begun never will." },
];

export function Page({ device, workflowId, selected, query }) {
  const found = useResource((abort) => getExecution(device, workflowId, abort), workflowId, {
    affects: (change) => change.workflowId === workflowId && change.device === device,
  });
  const here = ["executions", device, workflowId];
  const onSelect = (taskId) => go([...here, ...(taskId ? ["task", taskId] : [])], query, { replace: true });
  const onOrder = (order) => go(place.value.parts, { ...query, order }, { replace: true });
  return html`<p class="small"><a href=${link(["executions"])}>Executions</a> ·${" "}
      <a href=${link(["devices", device])}>${device}</a></p>
    ${query.order && may("orders") && html`<${FollowOrder} key=${query.order} id=${query.order} />`}
    ${found.error && !found.data && html`<h1>Execution</h1>`}
    <${Waiting} resource=${found}>${() => html`<${ExecutionView} execution=${found.data}
      facts=${[["Device", html`<a href=${link(["devices", device])}>${device}</a>`],
        ["Updated", html`<${Ago} at=${found.data.updateTime} />`], clockFact(found.data)]}
      actions=${html`<${Actions} execution=${found.data} device=${device} onOrder=${onOrder} />`}
      filesOf=${filesOf(device, found.data)} linkOf=${(child) => link(["executions", device, child])}
      selected=${selected} onSelect=${onSelect} />`}<//>`;
}

/** How right the times are, which the device wrote by its own clock; when it was where that is wrong. */
function clockFact({ startTime, corrected }) {
  const { errorMs } = corrected;
  if (errorMs < 0) return ["Times right to", "not known"];
  if (Math.abs(corrected.startTime - toMillis(startTime)) <= Math.max(errorMs, RIGHT_MS)) {
    return ["Times right to", `± ${duration(errorMs)}`];
  }
  const off = Math.abs(corrected.startTime - toMillis(startTime));
  const way = corrected.startTime < toMillis(startTime) ? "fast" : "slow";
  return ["Started by this clock", html`${dateTime(corrected.startTime)} ± ${duration(errorMs)}
    <span class="soft">(its clock was ${duration(off)} ${way})</span>`];
}

function Actions({ execution, device, onOrder }) {
  const { status, workflowId, workflowName } = execution;
  const act = async ({ action, title, text, danger, field }) => {
    const said = await ask({ title: `${title} ${workflowName} on ${device}?`, action: title, danger, field,
      text: `${text} This is an order: it is carried out when the device is there.` });
    if (!said) return;
    try {
      const order = await steer(device, workflowId, action, said.text ? { reason: said.text } : {});
      onOrder(order.id);
    } catch (error) {
      tell(error.message, { bad: true });
    }
  };
  return html`
    ${may("orders", "operator") && ACTIONS.filter((one) => one.fits(status)).map((one) => html`<button
      type="button" key=${one.action} class=${one.danger ? "danger" : ""}
      onClick=${() => act(one)}>${one.title}</button>`)}
    <${ActionLink} href=${link(["compare"], { left: `${device}/${workflowId}`,
      q: `workflow:${quoted(workflowName)}` })}>Compare<//>`;
}

/** The files that came with a task, with how much of each is here. */
function filesOf(device, execution) {
  return (task) => execution.evidence.filter((file) => file.taskId === task.taskId)
    .map((file) => ({
      ...file,
      url: evidenceUrl(device, execution.workflowId, file),
      held: `${file.chunksHeld} of ${file.chunks} parts of ${bytes(file.sizeBytes)}`,
    }));
}
