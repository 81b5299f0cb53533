// One execution of one device, as far as its history has arrived.

import { evidenceUrl, getExecution } from "./api.js";
import { html } from "./web/dom.js";
import { ExecutionView } from "./web/execution_view.js";
import { bytes } from "./web/format.js";
import { useResource } from "./web/live.js";
import { Ago, Waiting } from "./web/parts.js";
import { go, link } from "./web/router.js";

export function Execution({ device, workflowId, selected }) {
  const found = useResource((abort) => getExecution(device, workflowId, abort), workflowId, {
    affects: (change) => change.workflowId === workflowId && change.device === device,
  });
  const onSelect = (taskId) => go(
    ["executions", device, workflowId, ...(taskId ? ["task", taskId] : [])], {}, { replace: true },
  );
  return html`<p class="small"><a href=${link(["executions"])}>Executions</a> ·${" "}
      <a href=${link(["executions"], { device })}>${device}</a></p>
    <${Waiting} resource=${found}>${() => html`<${ExecutionView} execution=${found.data}
      facts=${[["Device", device], ["Updated", html`<${Ago} at=${found.data.updateTime} />`]]}
      filesOf=${filesOf(device, found.data)} selected=${selected} onSelect=${onSelect} />`}<//>`;
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
