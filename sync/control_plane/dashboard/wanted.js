// Definitions and configuration that devices are wanted to have.

import { getAllWanted } from "./api.js";
import { ActionLink, Head } from "./kit.js";
import { may } from "./session.js";
import { html } from "./web/dom.js";
import { useResource } from "./web/live.js";
import { Ago, Empty, Table, Waiting } from "./web/parts.js";
import { link } from "./web/router.js";

/** "put-workflow" as the word in the addresses. */
const wordOf = (kind) => kind.replace("put-", "");

const COLUMNS = [
  { title: "Name", grow: true, cell: (row) => row.name },
  { title: "Kind", cell: (row) => wordOf(row.kind) },
  { title: "Newest revision", num: true, cell: (row) => `r${row.revision}` },
  { title: "Pushed", cell: (row) => html`<${Ago} at=${row.createdMs} />` },
];

export function Page() {
  const found = useResource(getAllWanted, "wanted", { everyMs: 15_000 });
  return html`<${Head} title="Definitions and configuration">
      ${may("orders", "operator") && html`<${ActionLink} primary href=${link(["wanted", "new"])}>Push something new<//>`}
    <//>
    <${Waiting} resource=${found}>${() => html`<section class="panel flush" aria-label="What was pushed">
      ${found.data.wanted.length
        ? html`<${Table} label="Definitions and configuration" columns=${COLUMNS} rows=${found.data.wanted}
            keyOf=${(row) => `${row.kind} ${row.name}`} href=${(row) => link(["wanted", wordOf(row.kind), row.name])} />`
        : html`<${Empty} title="Nothing was pushed yet">Push a workflow, a task or a configuration to devices;
            here is shown who has it.${may("orders", "operator")
              && html` <a href=${link(["wanted", "new"])}>Push something</a>.`}<//>`}
    </section>`}<//>`;
}
