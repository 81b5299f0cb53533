// One execution on this device: its data, its files, and what can be done to it.

import {
  evidenceUrl, getTaskLog, getWorkflow, pauseWorkflow, restartWorkflow, resumeWorkflow,
  retryWorkflow, terminateWorkflow,
} from "./api.js";
import { html, useState } from "./web/dom.js";
import { evidenceIn } from "./web/evidence.js";
import { ExecutionView } from "./web/execution_view.js";
import { useResource } from "./web/live.js";
import { Waiting, ask, tell } from "./web/parts.js";
import { go, link } from "./web/router.js";

const ACTIONS = [
  { name: "Pause", when: ["RUNNING"], run: pauseWorkflow, done: "Paused",
    text: "Tasks under way finish; no new one is scheduled until it is resumed." },
  { name: "Resume", when: ["PAUSED"], run: resumeWorkflow, done: "Resumed",
    text: "Scheduling goes on from where it was paused." },
  { name: "Retry", when: ["FAILED", "TIMED_OUT", "TERMINATED"], run: retryWorkflow, done: "Retried",
    text: "It goes on from the task that failed; what was completed is kept." },
  { name: "Restart", when: ["COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED"], run: restartWorkflow,
    done: "Restarted", text: "It runs again from its first task with the same input." },
  { name: "Terminate", when: ["RUNNING", "PAUSED"], run: terminateWorkflow, done: "Terminated",
    text: "It ends now. Tasks under way are cancelled.", danger: true, field: "Reason (optional)" },
];

/** The files of a task, found in its output. */
function filesOf(task) {
  return evidenceIn(task.outputData).map((file) => ({ ...file, url: evidenceUrl(file.path) }));
}

export function Execution({ workflowId, selected }) {
  const found = useResource((abort) => getWorkflow(workflowId, abort), workflowId, {
    affects: (change) => change.workflowId === workflowId,
  });
  const onSelect = (taskId) =>
    go(taskId ? ["workflows", workflowId, "task", taskId] : ["workflows", workflowId], {}, { replace: true });
  return html`<p class="small"><a href=${link(["workflows"])}>Workflows</a></p>
    ${found.error && !found.data && html`<h1>Execution</h1>`}
    <${Waiting} resource=${found}>${() => html`<${ExecutionView} execution=${found.data}
      actions=${html`<${Actions} execution=${found.data} reload=${found.reload} />`}
      filesOf=${filesOf} linkOf=${(child) => link(["workflows", child])} loadLogs=${getTaskLog} selected=${selected} onSelect=${onSelect} />`}<//>`;
}

function Actions({ execution, reload }) {
  const [busy, setBusy] = useState(false);
  const act = async (action) => {
    const yes = await ask({
      title: `${action.name} ${execution.workflowName}?`, text: action.text, action: action.name,
      danger: action.danger, field: action.field,
    });
    if (!yes) return;
    setBusy(true);
    try {
      await action.run(execution.workflowId, yes.text);
      tell(`${action.done}.`);
    } catch (error) {
      tell(`${action.name} was refused: ${error.message}`, { bad: true });
    }
    setBusy(false);
    reload();
  };
  return ACTIONS.filter((action) => action.when.includes(execution.status)).map((action) => html`
    <button type="button" key=${action.name} disabled=${busy} class=${action.danger ? "danger" : ""}
      onClick=${() => act(action)}>${action.name}</button>`);
}
