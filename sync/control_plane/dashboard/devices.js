// The devices of the fleet: who is there, how far their history has come, and what to do with some.

import { STATES, changeTags, getDevices, getGroups, getTags, registerDevice, changeMembers } from "./api.js";
import { DeviceTable } from "./device_table.js";
import { ActionLink, Choice, Field, FormBox, Head, MarkPager, listOf, refine } from "./kit.js";
import { DEVICE_FIELDS, SearchBox, queryProblem, wantedOf, withTerm } from "./searchbox.js";
import { may } from "./session.js";
import { html, useEffect, useState } from "./web/dom.js";
import { count } from "./web/format.js";
import { useResource } from "./web/live.js";
import { Empty, Figure, Waiting, tell } from "./web/parts.js";
import { link } from "./web/router.js";
import { wordOf } from "./web/status.js";

const PAGE_ROWS = 50;
const HERE = ["devices"];
const SORTS = [["device", "Name"], ["seen", "Silent for longest"], ["backlog", "Furthest behind"]];

export function Page({ query }) {
  const { q, sort, after } = query;
  const asked = { q, sort, after, limit: PAGE_ROWS, count: true };
  const found = useResource((abort) => getDevices(asked, abort), JSON.stringify(asked), {
    affects: () => true, everyMs: 15_000, leastMs: 2000,
  });
  const [picked, setPicked] = useState(new Set());
  const [box, setBox] = useState("");
  useEffect(() => setPicked(new Set()), [q, sort, after]);
  const refused = queryProblem(found);
  return html`<${Head} title="Devices">
      ${may("devices", "operator") && html`<button type="button" onClick=${() => setBox("register")}>
        Register a device</button>`}
    <//>
    <${States} query=${query} states=${found.data?.states} />
    <div class="row"><${SearchBox} label="Search devices" value=${q} fields=${DEVICE_FIELDS}
        placeholder="gate -state:offline tag:site=berlin" problem=${refused}
        onSearch=${(text) => refine(HERE, query, { q: text })} />
      <${Choice} label="Sort by" value=${sort ?? "device"} options=${SORTS}
        onText=${(word) => refine(HERE, query, { sort: word === "device" ? "" : word })} /></div>
    ${!refused && html`<${Waiting} resource=${found}>${() => html`<${Found} query=${query}
      found=${found.data} picked=${picked} onPick=${setPicked} open=${setBox} />`}<//>`}
    ${box === "register" && html`<${RegisterBox} close=${() => setBox("")} done=${found.reload} />`}
    ${box === "tags" && html`<${TagsBox} devices=${[...picked]} close=${() => setBox("")} done=${found.reload} />`}
    ${box === "group" && html`<${GroupBox} devices=${[...picked]} close=${() => setBox("")} done=${found.reload} />`}`;
}

/** Tiles that count, and that narrow the list when they are chosen. */
function States({ query, states }) {
  const chosen = wantedOf(query.q, "state");
  return html`<div class="tiles" role="group" aria-label="Devices by state">
    ${STATES.map((state) => {
      const next = withTerm(query.q, "state", state === chosen ? "" : state);
      return html`<${Figure} key=${state} status=${state} label=${wordOf(state)} value=${states?.[state]}
        current=${state === chosen} href=${link(HERE, { ...query, q: next, after: "", from: "" })} />`;
    })}
  </div>`;
}

function Found({ query, found, picked, onPick, open }) {
  const { devices, next, total } = found;
  if (!devices.length) return html`<div class="panel"><${Nothing} query=${query} /></div>`;
  const mayPick = may("devices", "operator") || may("orders", "operator");
  return html`<section class="panel flush" aria-label="Devices that were found">
    ${mayPick && html`<${Chosen} query=${query} total=${total} picked=${picked} onPick=${onPick} open=${open} />`}
    <${DeviceTable} label="Devices" devices=${devices} picked=${picked} onPick=${mayPick && onPick} />
    <${MarkPager} parts=${HERE} query=${query} rows=${devices.length} next=${next} total=${total}
      words=${["Previous", "Next"]} />
  </section>`;
}

/** What can be done with the devices that are chosen, or with all that were found. */
function Chosen({ query, total, picked, onPick, open }) {
  const names = [...picked].join(",");
  const orders = may("orders", "operator");
  if (!picked.size) {
    return html`<div class="toolbar"><span class="soft">Choose devices, or</span>
      ${orders && html`<a href=${link(["orders", "new"], { query: query.q, to: "query" })}>
        give an order to all ${count(total)} that were found</a>`}</div>`;
  }
  return html`<div class="toolbar" role="group" aria-label="With the chosen devices">
    <strong aria-live="polite">${count(picked.size)} chosen</strong>
    ${may("devices", "operator") && html`
      <button type="button" onClick=${() => open("tags")}>Change tags</button>
      <button type="button" onClick=${() => open("group")}>Add to a group</button>`}
    ${orders && html`<${ActionLink} href=${link(["orders", "new"], { to: "devices", devices: names })}>
      Start a workflow<//>`}
    <button type="button" class="quiet" onClick=${() => onPick(new Set())}>Choose none</button>
  </div>`;
}

function Nothing({ query }) {
  if (query.q || query.after) {
    return html`<${Empty} title="No device matches">
      <a href=${link(HERE)}>Show all devices</a>, or look at the help beside the box.<//>`;
  }
  return html`<${Empty} title="No device has reported yet">Start one that sends to the same broker; it
    appears here by itself: <pre>baton run --config device.toml</pre><//>`;
}

function TagsBox({ devices, close, done }) {
  const known = useResource(getTags, "tags");
  const [add, setAdd] = useState("");
  const [remove, setRemove] = useState("");
  const act = async () => {
    const { changed } = await changeTags(devices, listOf(add), listOf(remove));
    tell(`Tags of ${count(changed)} ${changed === 1 ? "device" : "devices"} changed`);
    done();
  };
  return html`<${FormBox} title=${`Tags of ${count(devices.length)} ${devices.length === 1 ? "device" : "devices"}`} action="Change tags" act=${act} close=${close}>
    <${Field} label="Give these tags" value=${add} onText=${setAdd} list="known-tags"
      hint="Several with spaces between, such as camera site=berlin" />
    <${Field} label="Take these tags away" value=${remove} onText=${setRemove} list="known-tags" />
    <datalist id="known-tags">${Object.keys(known.data?.tags ?? {}).map((tag) => html`<option key=${tag} value=${tag} />`)}</datalist>
  <//>`;
}

function GroupBox({ devices, close, done }) {
  const groups = useResource(getGroups, "groups");
  const [name, setName] = useState("");
  const lists = (groups.data?.groups ?? []).filter((one) => one.query === null);
  const act = async () => {
    if (!name) throw new Error("Choose a group.");
    await changeMembers(name, { add: devices });
    tell(`${count(devices.length)} devices are in ${name} now`);
    done();
  };
  return html`<${FormBox} title="Add to a group" action="Add" act=${act} close=${close}>
    <${Choice} label="Group" value=${name} onText=${setName}
      options=${[["", "Choose one"], ...lists.map((one) => one.name)]}
      hint="Groups that are a query find their devices by themselves." />
    <p class="small"><a href=${link(["groups"], { new: "list" })}>Make a group</a></p>
  <//>`;
}

function RegisterBox({ close, done }) {
  const [device, setDevice] = useState("");
  const [tags, setTags] = useState("");
  const act = async () => {
    await registerDevice(device.trim(), listOf(tags));
    tell(`${device.trim()} is known; it is shown as never seen until it reports`);
    done();
  };
  return html`<${FormBox} title="Register a device" action="Register" act=${act} close=${close}>
    <p class="soft small">A device that reports is known by itself. Register one to tag it, or to give
      it orders, before it is there.</p>
    <${Field} label="Name" value=${device} onText=${setDevice} required maxlength="64" />
    <${Field} label="Tags" value=${tags} onText=${setTags} hint="With spaces between" />
  <//>`;
}
