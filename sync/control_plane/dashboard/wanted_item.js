// One definition or configuration: its versions, how far the newest has come, and who differs.

import { getDrift, getVersion, getWanted, push } from "./api.js";
import { Progress } from "./charts.js";
import { ActionLink, Choice, FormBox, Head, MarkPager, refine } from "./kit.js";
import { may } from "./session.js";
import { TargetField, fieldsOf, targetOf, usePreview } from "./target_field.js";
import { html, useState } from "./web/dom.js";
import { JsonView } from "./web/json_view.js";
import { DiagramPanel } from "./web/lazy_diagram.js";
import { useResource } from "./web/live.js";
import { Ago, Empty, Panel, Table, Waiting, tell } from "./web/parts.js";
import { link } from "./web/router.js";
import { Status } from "./web/status.js";

const PAGE_ROWS = 50;
const STATES = [["", "Any"], ["in-step", "In step"], ["pending", "Pending"], ["drifted", "Drifted"]];

const DRIFT = [
  { title: "Device", grow: true, cell: (row) => row.device },
  { title: "State", bare: true, cell: (row) => html`<${Status} value=${row.state} />` },
  { title: "Wanted", num: true, cell: (row) => `r${row.wanted}` },
  { title: "Has", num: true, cell: (row) => (row.reported ? `r${row.reported}` : "–") },
  { title: "Why", cell: (row) => row.reason ?? "–" },
];

export function Page({ kind, name, query }) {
  const here = ["wanted", kind, name];
  const found = useResource((abort) => getWanted(kind, name, abort), `${kind} ${name}`, {
    affects: (change) => change.name === "device", everyMs: 5000, leastMs: 1000,
  });
  const [back, setBack] = useState(0);
  const pushes = may("orders", "operator");
  return html`<${Head} title=${name} path=${html`<a href=${link(["wanted"])}>Definitions</a>`}
      beside=${html`<span class="soft">${kind}</span>`}>
      ${found.data && pushes && html`<${ActionLink} primary href=${link([...here, "push"])}>Push a new version<//>`}
    <//>
    <${Waiting} resource=${found}>${() => {
      const { versions, progress, query: meant } = found.data;
      const campaign = ["campaigns", versions[0].campaign];
      return html`<${Panel} title=${`How far revision ${versions[0].revision} has come`}
            aside=${html`<span class="soft small">for ${meant ? html`<code>${meant}</code>` : "all devices"}</span>`}>
          <${Progress} progress=${progress} href=${(state) => link(campaign, { state })} /><//>
        <div class="split even"><div class="stack"><${Drift} kind=${kind} name=${name} query=${query} here=${here} /></div>
          <div class="stack"><${Versions} versions=${versions} here=${here} query=${query} back=${pushes && setBack} />
            <${Content} kind=${kind} name=${name} newest=${versions[0]} revision=${query.revision} /></div></div>
        ${back > 0 && html`<${BackBox} kind=${kind} name=${name} revision=${back} meant=${meant} done=${found.reload}
          close=${() => setBack(0)} />`}`;
    }}<//>`;
}

function Versions({ versions, here, query, back }) {
  const columns = [
    { title: "Revision", cell: (row) => `r${row.revision}` },
    { title: "Content", grow: true, cell: (row) => (row.rollbackTo ? `that of r${row.rollbackTo} again` : "new") },
    { title: "Pushed", cell: (row) => html`<${Ago} at=${row.createdMs} />` },
    { title: "By", keep: true, cell: (row) => row.createdBy },
    back && { title: "", bare: true, cell: (row) => row !== versions[0] && html`<button type="button" class="quiet above"
      aria-label=${`Roll back to revision ${row.revision}`} onClick=${() => back(row.revision)}>Roll back</button>` },
  ].filter(Boolean);
  return html`<${Panel} title="Versions"><${Table} label="Versions" columns=${columns} rows=${versions}
    keyOf=${(row) => row.revision} href=${(row) => link(here, { ...query, revision: row.revision })} /><//>`;
}

function Content({ kind, name, newest, revision }) {
  const number = Number(revision) || newest.revision;
  const found = useResource((abort) => (number === newest.revision ? Promise.resolve(newest)
    : getVersion(kind, name, number, abort)), `${kind} ${name} ${number}`);
  const definition = found.data?.content.definition;
  return html`<${DiagramPanel} key=${number} title=${`Diagram of revision ${number}`} definition=${definition} />
    <${Panel} title=${`Content of revision ${number}`}><${Waiting} resource=${found}>${() => html`
    <${JsonView} value=${definition ?? found.data.content.variables} label="Content" />`}<//><//>`;
}

function Drift({ kind, name, query, here }) {
  const asked = { after: query.after, state: query.state, limit: PAGE_ROWS };
  const found = useResource((abort) => getDrift(kind, name, asked, abort), JSON.stringify([kind, name, asked]), {
    affects: (change) => change.name === "device", everyMs: 5000, leastMs: 1000,
  });
  return html`<section class="panel flush" aria-label="Who has it">
    <div class="toolbar"><h2>Who has it</h2>
      <${Choice} label="State" value=${query.state ?? ""} options=${STATES} onText=${(state) => refine(here, query, { state })} /></div>
    <${Waiting} resource=${found}>${() => {
      const rows = found.data.devices;
      return html`${rows.length ? html`<${Table} label="Devices and what each has" columns=${DRIFT} rows=${rows}
          keyOf=${(row) => row.device} href=${(row) => link(["devices", row.device])} />`
          : html`<${Empty} title=${query.state ? "None of those that were looked at" : "It is meant for no device"} />`}
        <${MarkPager} parts=${here} query=${query} rows=${rows.length} next=${found.data.next}
          words=${["Previous", "Next"]} />`;
    }}<//>
  </section>`;
}

/** `meant`: whom the newest version is for; who never had this thing has nothing to go back from. */
function BackBox({ kind, name, revision, meant: before, done, close }) {
  const [target, setTarget] = useState(fieldsOf(before));
  const preview = usePreview(target);
  const act = async () => {
    const meant = targetOf(target);
    if (!meant || !preview.data?.devices) throw new Error("Choose at least one device that is known here.");
    const put = await push(kind, name, { rollbackTo: revision, target: meant,
      expectedDevices: preview.data.devices });
    tell(`Revision ${put.versions[0].revision}, with the content of ${revision}, is on its way`);
    done();
  };
  return html`<${FormBox} title=${`Roll ${name} back to revision ${revision}`} action="Roll back" wide danger
      act=${act} close=${close}>
    <p class="soft small">The content of revision ${revision} is pushed again, under a new number.</p>
    <${TargetField} fields=${target} set=${(change) => setTarget({ ...target, ...change })} preview=${preview} />
  <//>`;
}
