// One group: what it is, and the devices that are in it now.

import { changeMembers, getDevices, getGroup, removeGroup } from "./api.js";
import { DeviceTable } from "./device_table.js";
import { GroupBox } from "./group_box.js";
import { ActionLink, Field, FormBox, Head, MarkPager, attempt, listOf } from "./kit.js";
import { quoted } from "./searchbox.js";
import { may } from "./session.js";
import { html, useState } from "./web/dom.js";
import { count } from "./web/format.js";
import { useResource } from "./web/live.js";
import { Empty, Facts, Panel, Trouble, Waiting, ask, tell } from "./web/parts.js";
import { go, link } from "./web/router.js";

const PAGE_ROWS = 50;

export function Page({ group: name, query }) {
  const found = useResource((abort) => getGroup(name, abort), name, { everyMs: 15_000 });
  const [box, setBox] = useState("");
  const group = found.data;
  const operator = may("devices", "operator");
  const remove = async () => {
    const yes = await ask({ title: `Remove the group ${name}?`, text: "Its devices stay. Queries and rules that name it find nothing any more.",
      action: "Remove", danger: true });
    if (!yes) return;
    if (await attempt(() => removeGroup(name), `The group ${name} is removed`)) go(["groups"]);
  };
  return html`<${Head} title=${name} path=${html`<a href=${link(["groups"])}>Groups</a>`}>
      ${group && operator && html`<button type="button" onClick=${() => setBox("change")}>Change</button>
        <button type="button" class="danger" onClick=${remove}>Remove</button>`}
      ${group && may("orders", "operator") && html`<${ActionLink} primary
        href=${link(["orders", "new"], { to: "group", group: name })}>Start a workflow<//>`}
    <//>
    <${Waiting} resource=${found}>${() => html`
      <${Trouble} error=${group.problem && { message: group.problem }} />
      <${Panel} title="The group"><${Facts} facts=${[
        ["Kind", group.query === null ? "a list" : "a query"], ["Devices", count(group.devices)],
        group.query !== null && ["Query", html`<code>${group.query}</code>`],
        group.description && ["Description", html`<p>${group.description}</p>`],
      ]} /><//>
      <${Members} name=${name} group=${group} query=${query} open=${setBox} changed=${found.reload} />`}<//>
    ${box === "change" && html`<${GroupBox} group=${group} done=${found.reload} close=${() => setBox("")} />`}
    ${box === "add" && html`<${AddBox} name=${name} done=${found.reload} close=${() => setBox("")} />`}`;
}

function Members({ name, group, query, open, changed }) {
  const here = ["groups", name];
  const asked = { q: `group:${quoted(name)}`, after: query.after, limit: PAGE_ROWS };
  // Counted again when the group has changed, by the number of its devices.
  const found = useResource((abort) => getDevices(asked, abort), JSON.stringify([asked, group.devices, group.query]), {
    affects: () => true, leastMs: 2000,
  });
  const keeps = group.query === null && may("devices", "operator");
  const take = async (device) => {
    await attempt(() => changeMembers(name, { remove: [device] }), `${device} is not in ${name} any more`);
    changed();
    found.reload();
  };
  const more = keeps ? [{ title: "", bare: true, cell: (device) => html`<button type="button" class="quiet above"
    aria-label=${`Take ${device.device} out of the group`} onClick=${() => take(device.device)}>Take out</button>` }] : [];
  return html`<section class="panel flush" aria-label="Devices of the group">
    <div class="toolbar"><h2>Devices</h2>
      ${keeps && html`<button type="button" onClick=${() => open("add")}>Add devices</button>`}
      <a href=${link(["devices"], { q: asked.q })}>Search among them</a></div>
    <${Waiting} resource=${found}>${() => (found.data.devices.length
      ? html`<${DeviceTable} label=${`Devices of ${name}`} devices=${found.data.devices} more=${more} />
        <${MarkPager} parts=${here} query=${query} rows=${found.data.devices.length} next=${found.data.next}
          total=${group.devices} words=${["Previous", "Next"]} />`
      : html`<${Empty} title="No device is in it">${group.query === null
          ? "Add some here, or choose them in the list of devices." : "No device matches its query at the moment."}<//>`)}<//>
  </section>`;
}

function AddBox({ name, done, close }) {
  const [text, setText] = useState("");
  const act = async () => {
    const devices = listOf(text);
    await changeMembers(name, { add: devices });
    tell(`${count(devices.length)} devices were added`);
    done();
  };
  return html`<${FormBox} title=${`Add devices to ${name}`} action="Add" act=${act} close=${close}>
    <${Field} label="Devices" value=${text} onText=${setText} required hint="Names with spaces or commas between" />
  <//>`;
}
