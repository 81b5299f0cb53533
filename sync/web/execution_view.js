// One execution as both faces show it: header, timeline, evidence, tasks, and the chosen task.
// What can be done to it and where its files lie is handed in; nothing is fetched here but logs.

import { html, useEffect, useRef, useState } from "./dom.js";
import { Evidence } from "./evidence.js";
import { clockTime, dateTime, duration, toMillis } from "./format.js";
import { JsonView } from "./json_view.js";
import { DiagramPanel } from "./lazy_diagram.js";
import { now, useResource } from "./live.js";
import { Facts, Panel, Table, Trouble } from "./parts.js";
import { Status } from "./status.js";
import { ROWS_AT_ONCE, ROWS_MORE, Timeline, spanOf } from "./timeline.js";

const OPEN = new Set(["RUNNING", "PAUSED"]);

/** True while the workflow can still change by itself. */
export const isOpen = (execution) => OPEN.has(execution.status);

/** Length of an execution; an open one is measured to now. */
export function lengthOf(execution, nowMs) {
  const from = toMillis(execution.startTime ?? execution.createTime);
  const to = toMillis(execution.endTime) ?? (isOpen(execution) ? nowMs : toMillis(execution.updateTime));
  return from === null || to === null ? null : to - from;
}

/**
 * Args:
 *   execution: Conductor's Workflow with its tasks.
 *   facts: further name and value pairs for the header.
 *   actions: buttons for the header.
 *   filesOf(task): the task's evidence.
 *   loadLogs(taskId, abort): its log lines; left out where there are none.
 *   linkOf(workflowId): the address of another execution of the same device.
 *   selected, onSelect: the chosen task id.
 */
export function ExecutionView(props) {
  const { execution, facts = [], actions, filesOf, linkOf, selected, onSelect } = props;
  const tasks = execution.tasks ?? [];
  const chosen = tasks.find((task) => task.taskId === selected);
  const files = uniqueFiles(tasks.flatMap(filesOf));
  return html`
    <${Header} execution=${execution} facts=${facts} actions=${actions} />
    <${Trouble} error=${execution.reasonForIncompletion && { message: execution.reasonForIncompletion }} />
    <div class=${`split ${chosen ? "chosen" : ""}`}>
      <div class="stack">
        <${Panel} title="Timeline" aside=${html`<span class="soft small">bar: ran · thin line: waited</span>`}>
          ${tasks.length
            ? html`<${Timeline} tasks=${tasks} startMs=${execution.startTime ?? execution.createTime}
                running=${isOpen(execution)} selected=${selected} onSelect=${onSelect} />`
            : html`<p class="soft">No task has been scheduled yet.</p>`}
        <//>
        <${DiagramPanel} definition=${execution.workflowDefinition} tasks=${tasks} linkOf=${linkOf}
          selected=${selected} onSelect=${onSelect} />
        ${files.length > 0 && html`<${Panel} title="Evidence"><${Evidence} files=${files} /><//>`}
        <${TaskTable} tasks=${tasks} running=${isOpen(execution)} onSelect=${onSelect} selected=${selected} />
      </div>
      <div class="stack side">
        ${chosen
          ? html`<${TaskPanel} key=${chosen.taskId} ...${props} task=${chosen} tasks=${tasks} />`
          : html`<${Payloads} execution=${execution} />`}
      </div>
    </div>`;
}

function uniqueFiles(files) {
  return [...new Map(files.map((file) => [file.url, file])).values()];
}

function Header({ execution, facts, actions }) {
  const length = lengthOf(execution, isOpen(execution) ? now.value : 0);
  return html`<div class="heading">
    <div class="title"><h1>${execution.workflowName ?? execution.workflowType}</h1>
      <${Status} value=${execution.status} /></div>
    ${actions && html`<div class="actions">${actions}</div>`}
    <${Facts} facts=${[
      ["Duration", duration(length)],
      ["Started", dateTime(execution.startTime ?? execution.createTime)],
      ["Ended", dateTime(execution.endTime)],
      ["Version", String(execution.workflowVersion ?? "–")],
      ...facts,
      execution.correlationId && ["Correlation", execution.correlationId],
      ["Workflow id", html`<code>${execution.workflowId}</code>`],
    ]} />
  </div>`;
}

function TaskTable({ tasks, running, selected, onSelect }) {
  const [shown, setShown] = useState(ROWS_AT_ONCE);
  const nowMs = running ? now.value : 0;
  const columns = [
    { title: "Task", grow: true, cell: (task) => html`<button type="button" class="textlink"
        aria-pressed=${task.taskId === selected ? "true" : "false"}
        onClick=${() => onSelect(task.taskId)}>${task.referenceTaskName}</button>` },
    { title: "Type", cell: (task) => task.taskType },
    { title: "Status", bare: true, cell: (task) => html`<${Status} value=${task.status} />` },
    { title: "Attempt", num: true, cell: (task) => String((task.retryCount ?? 0) + 1) },
    { title: "Ran", num: true, cell: (task) => {
      const span = spanOf(task, nowMs);
      return duration(span.ended - span.begin);
    } },
    { title: "Worker", cell: (task) => task.workerId ?? "–" },
  ];
  const inOrder = [...tasks].sort((a, b) => a.seq - b.seq);
  if (!inOrder.length) return null;
  return html`<${Panel} title="Tasks" aside=${html`<span class="soft small">${tasks.length}</span>`}>
    <${Table} label="Tasks" columns=${columns} rows=${inOrder.slice(0, shown)}
      keyOf=${(task) => task.taskId} />
    ${inOrder.length > shown && html`<button type="button" onClick=${() => setShown(shown + ROWS_MORE)}>
      Show ${Math.min(ROWS_MORE, inOrder.length - shown)} more of ${inOrder.length} tasks</button>`}
  <//>`;
}

/** An input or output; one that lies in a file is empty here, and `file` names it. */
function Payload({ value, label, file }) {
  if (!file) return html`<${JsonView} value=${value} label=${label} />`;
  return html`<p class="soft small">Not shown: it lies in a file of the device, <code>${file}</code></p>`;
}

function Payloads({ execution }) {
  return html`
    <${Panel} title="Input"><${Payload} value=${execution.input} label="Workflow input"
      file=${execution.externalInputPayloadStoragePath} /><//>
    <${Panel} title="Output"><${Payload} value=${execution.output} label="Workflow output"
      file=${execution.externalOutputPayloadStoragePath} /><//>
    ${execution.variables && Object.keys(execution.variables).length > 0 && html`
      <${Panel} title="Variables">
        <${JsonView} value=${execution.variables} label="Workflow variables" /><//>`}
    ${execution.workflowDefinition && html`<details class="panel more">
      <summary>Definition it runs</summary>
      <${JsonView} value=${execution.workflowDefinition} label="Workflow definition" />
    </details>`}`;
}

function TaskPanel({ execution, task, tasks, filesOf, linkOf, loadLogs, onSelect }) {
  const box = useRef(null);
  useEffect(() => {
    // On a narrow screen the task opens below the timeline, out of sight.
    if (matchMedia("(max-width: 1079px)").matches) {
      box.current.scrollIntoView({ block: "start", behavior: "smooth" });
    }
  }, []);
  const attempts = tasks.filter((other) => other.referenceTaskName === task.referenceTaskName)
    .sort((a, b) => a.seq - b.seq);
  const span = spanOf(task, isOpen(execution) ? now.value : 0);
  const files = filesOf(task);
  const child = task.subWorkflowId || task.outputData?.subWorkflowId;
  return html`<section class="panel task" ref=${box} aria-label=${`Task ${task.referenceTaskName}`}>
    <header><h2>${task.referenceTaskName}</h2><${Status} value=${task.status} />
      <button type="button" class="quiet close" aria-label="Close the task"
        onClick=${() => onSelect("")}>×</button></header>
    ${attempts.length > 1 && html`<${Attempts} ...${{ attempts, task, onSelect }} />`}
    <${Trouble} error=${task.reasonForIncompletion && { message: task.reasonForIncompletion }} />
    <${Facts} facts=${[
      ["Task", task.taskDefName ?? task.taskType], ["Type", task.taskType],
      ["Worker", task.workerId ?? "–"],
      ["Waited", duration(span.begin - span.scheduled)],
      ["Ran", duration(span.ended - span.begin)],
      ["Scheduled", html`<${Clock} at=${task.scheduledTime} />`],
      ["Started", html`<${Clock} at=${task.startTime} />`],
      ["Ended", html`<${Clock} at=${task.endTime} />`],
      task.iteration > 0 && ["Iteration", String(task.iteration)],
      task.pollCount > 0 && ["Polls", String(task.pollCount)],
      child && linkOf && ["Sub-workflow", html`<a href=${linkOf(child)}>Execution it started</a>`],
      ["Task id", html`<code>${task.taskId}</code>`],
    ]} />
    ${files.length > 0 && html`<h3>Evidence</h3><${Evidence} files=${files} />`}
    <h3>Input</h3><${Payload} value=${task.inputData} label="Task input"
      file=${task.externalInputPayloadStoragePath} />
    <h3>Output</h3><${Payload} value=${task.outputData} label="Task output"
      file=${task.externalOutputPayloadStoragePath} />
    ${loadLogs && html`<${Logs} ...${{ execution, task, loadLogs }} />`}
  </section>`;
}

function Clock({ at }) {
  return html`<time title=${dateTime(at)}>${clockTime(at)}</time>`;
}

function Attempts({ attempts, task, onSelect }) {
  return html`<div class="attempts" role="group" aria-label="Attempts">
    ${attempts.map((attempt, index) => html`<button type="button" key=${attempt.taskId}
      aria-pressed=${attempt.taskId === task.taskId ? "true" : "false"}
      onClick=${() => onSelect(attempt.taskId)}>
      <${Status} value=${attempt.status} label=${`Attempt ${index + 1}`} /></button>`)}
  </div>`;
}

function Logs({ execution, task, loadLogs }) {
  const logs = useResource((abort) => loadLogs(task.taskId, abort), task.taskId, {
    affects: (change) => change.workflowId === execution.workflowId,
  });
  const lines = logs.data ?? [];
  return html`<h3>Log</h3>
    <${Trouble} error=${logs.error} again=${logs.reload} />
    ${!logs.error && (lines.length
      ? html`<pre class="log" tabindex="0" aria-label="Task log">${lines.map((line) => html`<span
          ><${Clock} at=${line.createdTime} /> ${line.log}${"\n"}</span>`)}</pre>`
      : html`<p class="soft small">No line was written.</p>`)}`;
}
