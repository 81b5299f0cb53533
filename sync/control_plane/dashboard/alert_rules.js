// The rules of alerts: what is watched, and who is told.

import { getChannels, getRules, putRule, removeRule } from "./api.js";
import { Choice, Field, FormBox, Head, Tick, attempt } from "./kit.js";
import { may } from "./session.js";
import { html, useState } from "./web/dom.js";
import { count, duration } from "./web/format.js";
import { useResource } from "./web/live.js";
import { Empty, Table, Waiting, ask, tell } from "./web/parts.js";
import { link } from "./web/router.js";

const KINDS = [
  ["failure-rate", "Failure rate"], ["silence", "Silence"], ["lag", "Lag"], ["disk", "Disk"], ["clock", "Clock"],
  ["duplicate-identity", "Duplicate identity"],
];

/** The fields of each kind, as `[name, label, hint]`; all of them are numbers. */
const FIELDS = {
  "failure-rate": [["percent", "Percent that failed", "Of the executions that began in these hours"],
    ["least", "At least so many executions", "With fewer nothing is said"], ["hours", "Hours", "How far back is looked"]],
  silence: [["afterS", "Seconds without a word", ""]],
  lag: [["records", "Records still on the device", ""]],
  disk: [["records", "Records that were dropped for want of room", ""]],
  clock: [["afterS", "Seconds that it may be off", ""]],
  "duplicate-identity": [["hours", "Hours", "How far back is looked"]],
};
const DEFAULTS = { kind: "silence", query: "", channels: [], forS: 0, afterS: 900, records: 10_000, percent: 20, least: 5,
  hours: 1, by: "workflow", enabled: true };

/** What a rule watches, in a line. */
function watchText({ kind, afterS, records, percent, least, hours, by }) {
  switch (kind) {
    case "failure-rate": return `${percent} % of at least ${count(least)} executions of a ${by} failed within ${hours} h`;
    case "silence": return `a device was not heard of for ${duration(afterS * 1000)}`;
    case "lag": return `more than ${count(records)} records are still on a device`;
    case "disk": return `a device has dropped more than ${count(records)} records`;
    case "clock": return `a device's clock is more than ${duration(afterS * 1000)} off`;
    default: return `two devices spoke under one name within ${hours} h`;
  }
}

export function Page() {
  const found = useResource(getRules, "rules", { everyMs: 30_000 });
  const [edited, setEdited] = useState(null);
  const admin = may("alerts", "admin");
  const remove = async (name) => {
    const yes = await ask({ title: `Remove the rule ${name}?`, text: "What it has found is resolved.", action: "Remove", danger: true });
    if (!yes) return;
    await attempt(() => removeRule(name), `The rule ${name} is removed`);
    found.reload();
  };
  const columns = [
    { title: "Rule", grow: true, cell: (row) => html`<span class="strong">${row.name}</span>
      ${!row.rule.enabled && html` <span class="soft">switched off</span>`}` },
    { title: "Fires when", wide: true, cell: (row) => `${watchText(row.rule)}${row.rule.forS ? `, for ${duration(row.rule.forS * 1000)}` : ""}` },
    { title: "Devices", cell: (row) => (row.rule.query ? html`<code>${row.rule.query}</code>` : "all") },
    { title: "Tells", cell: (row) => row.rule.channels.join(", ") || "nobody" },
    admin && { title: "", bare: true, cell: (row) => html`
      <button type="button" class="quiet" aria-label=${`Change ${row.name}`} onClick=${() => setEdited(row)}>Change</button>
      <button type="button" class="quiet" aria-label=${`Remove ${row.name}`} onClick=${() => remove(row.name)}>Remove</button>` },
  ].filter(Boolean);
  return html`<${Head} title="Rules of alerts" path=${html`<a href=${link(["alerts"])}>Alerts</a>`}>
      ${admin && html`<button type="button" class="primary" onClick=${() => setEdited({ name: "", rule: DEFAULTS })}>New rule</button>`}
    <//>
    <${Waiting} resource=${found}>${() => html`<section class="panel flush" aria-label="All rules">
      ${found.data.rules.length
        ? html`<${Table} label="Rules" columns=${columns} rows=${found.data.rules} keyOf=${(row) => row.name} />`
        : html`<${Empty} title="Nothing is watched yet">A rule says what is watched, such as devices that are silent,
            and whom to tell.<//>`}
    </section>`}<//>
    ${edited && html`<${RuleBox} edited=${edited} done=${found.reload} close=${() => setEdited(null)} />`}`;
}

function RuleBox({ edited, done, close }) {
  const [name, setName] = useState(edited.name);
  const [rule, setRule] = useState(edited.rule);
  const channels = useResource(getChannels, "channels");
  const set = (field) => (value) => setRule({ ...rule, [field]: value });
  const number = (field) => (text) => set(field)(text === "" ? "" : Number(text));
  const tick = (channel) => (yes) => set("channels")(yes ? [...rule.channels, channel]
    : rule.channels.filter((one) => one !== channel));
  const byDevice = rule.kind !== "failure-rate" || rule.by === "device";
  const act = async () => {
    await putRule(name.trim(), { ...rule, query: byDevice ? rule.query.trim() : "" });
    tell(`The rule ${name.trim()} is saved`);
    done();
  };
  const known = channels.data?.channels ?? [];
  return html`<${FormBox} title=${edited.name ? `Change ${edited.name}` : "New rule"} action="Save" act=${act} close=${close} wide>
    <div class="fields">
      ${!edited.name && html`<${Field} label="Name" value=${name} onText=${setName} required maxlength="64" />`}
      <${Choice} label="What is watched" value=${rule.kind} options=${KINDS} onText=${set("kind")} />
      ${rule.kind === "failure-rate" && html`<${Choice} label="Counted by" value=${rule.by} onText=${set("by")}
        options=${[["workflow", "Workflow"], ["device", "Device"]]} />`}
      ${FIELDS[rule.kind].map(([field, label, hint]) => html`<${Field} key=${field} type="number" min="0" step="any" required
        label=${label} hint=${hint} value=${rule[field]} onText=${number(field)} />`)}
      <${Field} type="number" min="0" required label="Seconds that it has to hold" value=${rule.forS} onText=${number("forS")}
        hint="0: it fires at once" />
    </div>
    ${byDevice && html`<${Field} label="Which devices" value=${rule.query} onText=${set("query")} maxlength="1000"
      placeholder="tag:camera" hint="As in the search box of the devices; empty means all of them" />`}
    <fieldset><legend>Who is told</legend><div class="options">
      ${known.map((channel) => html`<${Tick} key=${channel.name} label=${`${channel.name} (${channel.kind})`}
        checked=${rule.channels.includes(channel.name)} onTick=${tick(channel.name)} />`)}
      ${!known.length && html`<span class="soft">There is no channel yet; <a href=${link(["alerts", "channels"])}>make one</a>.</span>`}
    </div></fieldset>
    <${Tick} label="Switched on" checked=${rule.enabled} onTick=${set("enabled")} />
  <//>`;
}
