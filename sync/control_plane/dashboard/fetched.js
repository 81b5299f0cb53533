// What is fetched from a device on demand: lines of its log, files, payloads, histories.

import { contentUrl, fetchFrom, getFetches, removeFetch } from "./api.js";
import { Choice, Field, FormBox, attempt } from "./kit.js";
import { may } from "./session.js";
import { html, useState } from "./web/dom.js";
import { bytes, count, shortId } from "./web/format.js";
import { now, useResource } from "./web/live.js";
import { Ago, Panel, Table, Waiting, ask, tell } from "./web/parts.js";
import { link } from "./web/router.js";
import { Status } from "./web/status.js";

const ROWS = 10;
const LEVELS = [["debug", "Everything"], ["info", "Info and above"], ["warning", "Warnings and above"], ["error", "Errors"]];
const SINCE = [["", "The beginning"], ["900", "15 minutes ago"], ["3600", "An hour ago"], ["86400", "A day ago"], ["604800", "A week ago"]];
const STORES = [["evidence", "Evidence of a task"], ["files", "A file between workers"], ["input", "An input"], ["output", "An output"]];
const WHAT = [["logs", "Lines of its log"], ["task-logs", "The log of a task"], ["files", "A file or a payload"],
  ["histories", "An execution once more"]];
/** The looks of states that are no order's. */
const LOOKS = { waiting: "queued", looking: "running", arriving: "running", complete: "done", incomplete: "drifted",
  gone: "superseded", refused: "failed", failed: "failed" };
const PENDING = new Set(["waiting", "looking", "arriving"]);

/** What was asked for, in few words. */
function wantedText({ kind, wanted }) {
  if (wanted.taskId) return `log of task ${shortId(wanted.taskId)}`;
  if (wanted.workflowId) return `execution ${shortId(wanted.workflowId)}`;
  if (wanted.name) return `${wanted.store}: ${wanted.name}`;
  const said = [wanted.last && `last ${count(wanted.last)} lines`, wanted.level, wanted.contains && `“${wanted.contains}”`];
  return said.filter(Boolean).join(", ") || kind.replace("fetch-", "");
}

function Size({ row }) {
  if (PENDING.has(row.state)) return row.parts ? `${count(row.arrived)} of ${count(row.parts)} parts` : "–";
  // Nothing has matched: what there is to open is an empty page.
  if (row.state === "complete" && row.mediaType && !row.sizeBytes) return "empty";
  return row.sizeBytes ? `${bytes(row.sizeBytes)}${row.cut ? ", cut" : ""}` : "–";
}

/** The panel of a device's page. */
export function Fetched({ device, mine }) {
  const found = useResource((abort) => getFetches({ device, limit: ROWS }, abort), device, { ...mine, everyMs: 5000 });
  const [open, setOpen] = useState(false);
  const remove = async (row) => {
    const yes = await ask({ title: "Remove what was fetched?", text: `${wantedText(row)} can be fetched again, as long as the device has it.`,
      action: "Remove", danger: true });
    if (!yes) return;
    await attempt(() => removeFetch(row.id), "It is removed");
    found.reload();
  };
  const columns = [
    { title: "What", grow: true, cell: (row) => wantedText(row) },
    { title: "State", bare: true, cell: (row) => html`<${Status} value=${LOOKS[row.state]} label=${row.state} />
      ${row.reason && html`<span class="sub">${row.reason}</span>`}` },
    { title: "Size", cell: (row) => html`<${Size} row=${row} />` },
    { title: "Asked", cell: (row) => html`<${Ago} at=${row.issuedMs} />` },
    { title: "", bare: true, cell: (row) => html`<span class="row">
      ${row.state === "complete" && (row.mediaType
        ? html`<a href=${contentUrl(row.id)} target="_blank" rel="noopener">Open</a>`
        : html`<a href=${link(["executions", device, row.name])}>Look</a>`)}
      ${may("logs", "operator") && html`<button type="button" class="quiet" aria-label=${`Remove ${wantedText(row)}`}
        onClick=${() => remove(row)}>Remove</button>`}</span>` },
  ];
  return html`<${Panel} title="Logs and files" aside=${may("logs", "operator") && html`<button type="button"
      onClick=${() => setOpen(true)}>Fetch</button>`}>
    <${Waiting} resource=${found}>${() => (found.data.fetches.length
      ? html`<${Table} label="What was fetched" columns=${columns} rows=${found.data.fetches} keyOf=${(row) => row.id} />`
      : html`<p class="soft">Nothing was fetched yet. A device sends its log, and files that it keeps, when it is asked to.</p>`)}<//>
    ${open && html`<${FetchBox} device=${device} done=${found.reload} close=${() => setOpen(false)} />`}<//>`;
}

/** What the API takes, from the fields of the box. */
function bodyOf(what, said) {
  const name = said.name.trim();
  switch (what) {
    case "logs": return { level: said.level, contains: said.contains, last: Number(said.last) || 0,
      fromMs: said.since ? Math.round(now.value - Number(said.since) * 1000) : 0 };
    case "task-logs": return { taskId: name };
    case "files": return { store: said.store, name };
    default: return { workflowId: name };
  }
}

function FetchBox({ device, done, close }) {
  const [what, setWhat] = useState("logs");
  const [said, setSaid] = useState({ level: "debug", contains: "", last: "500", since: "", store: "evidence", name: "" });
  const set = (field) => (value) => setSaid({ ...said, [field]: value });
  const act = async () => {
    await fetchFrom(device, what, bodyOf(what, said));
    tell("It is asked for; it arrives when the device is there");
    done();
  };
  const named = { "task-logs": "Task id", files: "Name", histories: "Workflow id" }[what];
  return html`<${FormBox} title=${`Fetch from ${device}`} action="Fetch" act=${act} close=${close}>
    <${Choice} label="What" value=${what} options=${WHAT} onText=${setWhat} />
    ${what === "logs" && html`
      <${Field} label="Newest lines" type="number" min="0" value=${said.last} onText=${set("last")} hint="0: all that fit into a megabyte" />
      <${Choice} label="Since" value=${said.since} options=${SINCE} onText=${set("since")} />
      <${Choice} label="Level" value=${said.level} options=${LEVELS} onText=${set("level")} />
      <${Field} label="Containing" value=${said.contains} onText=${set("contains")} maxlength="200" />`}
    ${what === "files" && html`<${Choice} label="Kind" value=${said.store} options=${STORES} onText=${set("store")} />`}
    ${named && html`<${Field} label=${named} value=${said.name} onText=${set("name")} required maxlength="1024"
      hint=${what === "files" ? "Of evidence its path, of a payload the id of the task or execution" : ""} />`}
  <//>`;
}
