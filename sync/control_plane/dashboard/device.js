// One device: how it is, what it runs, what it was told, what it is meant to have, what is missing.

import { changeTags, getDevice, getExecutions, getNotices, getOfDevice, removeDevice } from "./api.js";
import { executionColumns } from "./execution_columns.js";
import { Fetched } from "./fetched.js";
import { ActionLink, Field, FormBox, Head, Tags, attempt, listOf } from "./kit.js";
import { orderColumns } from "./order_parts.js";
import { quoted } from "./searchbox.js";
import { may } from "./session.js";
import { html, useState } from "./web/dom.js";
import { count, dateTime, duration } from "./web/format.js";
import { useResource } from "./web/live.js";
import { Ago, Facts, Panel, Table, Waiting, ask, tell } from "./web/parts.js";
import { go, link } from "./web/router.js";
import { Status } from "./web/status.js";

const ROWS = 10;
const LANES = ["control", "urgent", "history", "bulk"];

export function Page({ device }) {
  const mine = { affects: (change) => change.device === device, leastMs: 1000 };
  const found = useResource((abort) => getDevice(device, abort), device, { ...mine, everyMs: 15_000 });
  const standing = useResource((abort) => getOfDevice(device, "standing", {}, abort), device, mine);
  const [tagging, setTagging] = useState(false);
  const state = found.data;
  const remove = async () => {
    const yes = await ask({ title: `Remove ${device}?`, action: "Remove", danger: true, text: removalText(state) });
    if (yes && await attempt(() => removeDevice(device), `The device ${device} is removed`)) go(["devices"]);
  };
  return html`<${Head} title=${device} path=${html`<a href=${link(["devices"])}>Devices</a>`}
      beside=${state && html`<${Status} value=${state.state} />`}>
      ${state && may("devices", "operator") && html`<button type="button"
        onClick=${() => setTagging(true)}>Edit tags</button>`}
      ${state && !state.online && may("devices", "admin") && html`<button type="button"
        onClick=${remove}>Remove</button>`}
      ${state && may("orders", "operator") && html`<${ActionLink} primary
        href=${link(["orders", "new"], { to: "devices", devices: device })}>Start a workflow<//>`}
    <//>
    <${Waiting} resource=${found}>${() => html`
      <div class="split even"><div class="stack">
        <${Standing} state=${state} standing=${standing} />
        ${may("executions") && html`<${Executions} device=${device} mine=${mine} />`}
      </div><div class="stack">
        ${may("orders") && html`<${Orders} device=${device} mine=${mine} />
          <${Wanted} device=${device} mine=${mine} />`}
        ${may("logs") && html`<${Fetched} device=${device} mine=${mine} />`}
        <${Gaps} device=${device} mine=${mine} />
        <${Notices} device=${device} mine=${mine} />
      </div></div>`}<//>
    ${tagging && html`<${TagsBox} device=${device} tags=${state.tags} done=${found.reload}
      close=${() => setTagging(false)} />`}`;
}

/** What goes with a device; of one that has told something also what comes when it speaks again. */
function removalText({ records, lastSeenMs }) {
  if (!lastSeenMs) return "It was never heard of. Its tags and its orders go with it, for good.";
  return `Its history goes with it, for good: ${count(records)} records of its present epoch and all before, with `
    + "their executions, files and orders. If it speaks again it shows up anew, with what it still holds.";
}

/** What is known of a device's clock, in words. */
function clockText({ offsetMs, errorMs }) {
  if (errorMs < 0) return "not measured yet";
  const way = offsetMs > 0 ? "behind" : "ahead";
  const off = Math.abs(offsetMs) < 1 ? "right" : `${duration(Math.abs(offsetMs))} ${way}`;
  return `${off}, ± ${duration(errorMs)}`;
}

function Standing({ state, standing }) {
  const more = standing.data;
  return html`<${Panel} title="How it is"><${Facts} facts=${[
    ["Last seen", html`<${Ago} at=${state.lastSeenMs} />`],
    ["Synced to", html`<${Ago} at=${state.syncedToMs} />`],
    ["Backlog", `${count(state.backlog)} records`],
    ["First seen", html`<${Ago} at=${state.firstSeenMs} />`],
    ["Release", state.version || "–"],
    ["Boot", count(state.boot)],
    ["Epoch", count(state.epoch)],
    ["Records here", count(state.records)],
    ["Will not come", html`<span class=${state.missing ? "bad-text strong" : ""}>${count(state.missing)}</span>`],
    ["Its clock", more ? clockText(more.clock) : "–"],
    ["Takes orders", more ? (more.takesOrders ? "yes" : "has not said so") : "–"],
    ["Executions, 24 h", html`${count(state.recent.executions)}, ${count(state.recent.failures)} failed`],
  ]} />
    <h3>Tags</h3><${Tags} tags=${state.tags} href=${(tag) => link(["devices"], { q: `tag:${quoted(tag)}` })} />
    <h3>Groups</h3><${Tags} tags=${more?.groups ?? []} href=${(name) => link(["groups", name])} />
  <//>`;
}

function Executions({ device, mine }) {
  const found = useResource((abort) => getExecutions({ device, limit: ROWS }, abort), device, mine);
  const all = link(["executions"], { q: `device:${quoted(device)}` });
  return html`<${Panel} title="Newest executions" aside=${html`<a class="small" href=${all}>All</a>`}>
    <${Waiting} resource=${found}>${() => (found.data.executions.length
      ? html`<${Table} label=${`Newest executions of ${device}`} rows=${found.data.executions}
          columns=${executionColumns({ device: false })} keyOf=${(row) => row.workflowId}
          href=${(row) => link(["executions", device, row.workflowId])} />`
      : html`<p class="soft">Nothing has arrived yet.</p>`)}<//><//>`;
}

function Orders({ device, mine }) {
  const found = useResource((abort) => getOfDevice(device, "orders", { limit: ROWS }, abort), device,
    { ...mine, everyMs: 10_000 });
  const all = link(["orders"], { device });
  return html`<${Panel} title="Newest orders" aside=${html`<a class="small" href=${all}>All</a>`}>
    <${Waiting} resource=${found}>${() => (found.data.orders.length
      ? html`<${Table} label=${`Newest orders to ${device}`} rows=${found.data.orders}
          columns=${orderColumns({ device: false, done: found.reload })} keyOf=${(row) => row.id}
          href=${(row) => link(["orders", row.id])} />`
      : html`<p class="soft">It was never told anything.</p>`)}<//><//>`;
}

const WANTED = [
  { title: "Name", grow: true, cell: (row) => row.name },
  { title: "Kind", keep: true, cell: (row) => row.kind.replace("put-", "") },
  { title: "Wanted", num: true, cell: (row) => `r${row.wanted}` },
  { title: "Has", num: true, cell: (row) => (row.reported ? `r${row.reported}` : "–") },
  { title: "State", bare: true, cell: (row) => html`<${Status} value=${row.state} />
    ${row.reason && html`<span class="sub">${row.reason}</span>`}` },
];

function Wanted({ device, mine }) {
  const found = useResource((abort) => getOfDevice(device, "wanted", {}, abort), device,
    { ...mine, everyMs: 15_000 });
  return html`<${Panel} title="Definitions and configuration that it is to have">
    <${Waiting} resource=${found}>${() => (found.data.wanted.length
      ? html`<${Table} label="Wanted and reported versions" columns=${WANTED} rows=${found.data.wanted}
          keyOf=${(row) => `${row.kind} ${row.name}`}
          href=${(row) => link(["wanted", row.kind.replace("put-", ""), row.name])} />`
      : html`<p class="soft">Nothing was pushed to it. <a href=${link(["wanted"])}>Definitions</a></p>`)}<//><//>`;
}

const GAPS = [
  { title: "Records", grow: true, cell: (gap) => `${count(gap.firstSeq)} to ${count(gap.lastSeq)}` },
  { title: "Lane", cell: (gap) => LANES[gap.lane] ?? gap.lane },
  { title: "Epoch", num: true, cell: (gap) => gap.epoch },
  { title: "Noted", cell: (gap) => html`<${Ago} at=${gap.notedMs} />` },
  { title: "Why", cell: (gap) => (gap.shed ? `${gap.reasons.join(", ")}: ${kindsText(gap.kinds)}` : "lost") },
];

const kindsText = (kinds) => Object.entries(kinds).map(([kind, many]) => `${count(many)} ${kind}`).join(", ");

function Gaps({ device, mine }) {
  const found = useResource((abort) => getOfDevice(device, "gaps", {}, abort), device, mine);
  return html`<${Panel} title="Gaps in its history"><${Waiting} resource=${found}>${() => (
    found.data.gaps.length
      ? html`<${Table} label="Gaps" columns=${GAPS} rows=${found.data.gaps.slice(0, 50)}
          keyOf=${(gap) => `${gap.epoch} ${gap.lane} ${gap.firstSeq}`} />`
      : html`<p class="soft">None: all that it has told of is here, or is on its way.</p>`)}<//><//>`;
}

function Notices({ device, mine }) {
  const found = useResource((abort) => getNotices({ device, newest: true, limit: ROWS }, abort), device, mine);
  return html`<${Panel} title="Notices"><${Waiting} resource=${found}>${() => (found.data.notices.length
    ? html`<ul class="lines">${found.data.notices.map((one) => html`<li key=${one.noticeId}>
        <span>${one.text}${one.times > 1 ? ` (${count(one.times)} times since ${dateTime(one.firstMs)})` : ""}</span>
        <${Ago} at=${one.lastMs} /></li>`)}</ul>`
    : html`<p class="soft">Nothing that a person should know of.</p>`)}<//><//>`;
}

function TagsBox({ device, tags, close, done }) {
  const [text, setText] = useState(tags.join(" "));
  const act = async () => {
    const wanted = listOf(text);
    await changeTags([device], wanted, tags.filter((tag) => !wanted.includes(tag)));
    tell(`Tags of ${device} changed`);
    done();
  };
  return html`<${FormBox} title=${`Tags of ${device}`} action="Save" act=${act} close=${close}>
    <${Field} label="Tags" value=${text} onText=${setText} hint="With spaces between, such as camera site=berlin" />
  <//>`;
}
