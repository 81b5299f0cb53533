// Groups of devices: lists that somebody keeps, and queries that find their devices by themselves.

import { getGroups } from "./api.js";
import { GroupBox } from "./group_box.js";
import { Head } from "./kit.js";
import { may } from "./session.js";
import { html, useState } from "./web/dom.js";
import { count } from "./web/format.js";
import { useResource } from "./web/live.js";
import { Ago, Empty, Table, Waiting } from "./web/parts.js";
import { link } from "./web/router.js";

const COLUMNS = [
  { title: "Group", grow: true, cell: (group) => group.name },
  { title: "Kind", cell: (group) => (group.query === null ? "list" : "query") },
  { title: "Devices", num: true, cell: (group) => count(group.devices) },
  { title: "Query", cell: (group) => (group.query === null ? "–" : html`<code>${group.query}</code>`) },
  { title: "Description", cell: (group) => html`${group.description || "–"}
    ${group.problem && html`<span class="bad-text sub">${group.problem}</span>`}` },
  { title: "Made", cell: (group) => html`<${Ago} at=${group.createdMs} />` },
];

export function Page({ query }) {
  const found = useResource(getGroups, "groups", { everyMs: 15_000 });
  const [open, setOpen] = useState(Boolean(query.new));
  const operator = may("devices", "operator");
  return html`<${Head} title="Groups">
      ${operator && html`<button type="button" class="primary" onClick=${() => setOpen(true)}>New group</button>`}
    <//>
    <${Waiting} resource=${found}>${() => html`<section class="panel flush" aria-label="All groups">
      ${found.data.groups.length
        ? html`<${Table} label="Groups" columns=${COLUMNS} rows=${found.data.groups} keyOf=${(group) => group.name}
            href=${(group) => link(["groups", group.name])} />`
        : html`<${Empty} title="There is no group yet">A group is a list of devices, or a query such as${" "}
            <code>tag:camera -state:never</code> that always finds those of the moment. Orders and searches
            can name it.<//>`}
    </section>`}<//>
    ${open && operator && html`<${GroupBox} kind=${query.new} done=${found.reload} close=${() => setOpen(false)} />`}`;
}
