// Pushing a new version of a definition or of a configuration to devices.

import { getVersion, getWanted, push } from "./api.js";
import { JsonField, readJson } from "./json_field.js";
import { Choice, Field, Head } from "./kit.js";
import { TargetField, fieldsOf, isMeant, targetOf, usePreview } from "./target_field.js";
import { html, useState } from "./web/dom.js";
import { count } from "./web/format.js";
import { useResource } from "./web/live.js";
import { Trouble, Waiting, tell } from "./web/parts.js";
import { go, link } from "./web/router.js";

const KINDS = [["workflow", "Workflow"], ["task", "Task"], ["config", "Configuration"]];
const EXPIRIES = [["86400", "A day"], ["604800", "A week"], ["2592000", "30 days"], ["7776000", "90 days"]];

const BEGINNINGS = {
  workflow: { version: 1, schemaVersion: 2, ownerEmail: "", tasks: [] },
  task: { retryCount: 3, retryDelaySeconds: 60, timeoutSeconds: 3600, ownerEmail: "" },
  config: {},
};

/** What is edited, of the body of an order. */
const editedOf = (kind, content) => (kind === "config" ? content.variables : content.definition);
const written = (value) => JSON.stringify(value, null, 2);

/** `kind` and `name` are those of what is there; without them something new is pushed. */
export function Page({ kind, name, query }) {
  const path = html`<a href=${link(["wanted"])}>Definitions</a>`;
  if (!name) return html`<${Head} title="Push something new" path=${path} /><${Form} query=${query} />`;
  return html`<${Head} title=${`New version of ${name}`}
      path=${html`${path} · <a href=${link(["wanted", kind, name])}>${name}</a>`} />
    <${Newest} kind=${kind} name=${name} query=${query} />`;
}

function Newest({ kind, name, query }) {
  const { revision } = query;
  const found = useResource(async (abort) => {
    const wanted = await getWanted(kind, name, abort);
    const { content } = revision ? await getVersion(kind, name, revision, abort) : wanted.versions[0];
    return { content, query: wanted.query };
  }, `${kind} ${name} ${revision}`);
  const [first, setFirst] = useState(null);
  if (found.data && !first) setFirst(found.data);
  // What was there at the beginning: a newer one must not overwrite what is being written.
  return html`<${Waiting} resource=${found}>${() => first && html`<${Form} kind=${kind} name=${name} query=${query}
    text=${written(editedOf(kind, first.content))} meant=${fieldsOf(first.query)} />`}<//>`;
}

/** `meant`: whom the version before was for, which is whom the next one is for, unless somebody says. */
function Form({ kind: fixed, name: known = "", query, text: begun, meant: before }) {
  const [kind, setKind] = useState(fixed ?? "workflow");
  const [name, setName] = useState(known);
  const [text, setText] = useState(begun ?? written(BEGINNINGS.workflow));
  const [pace, setPace] = useState({ perMinute: "600", expiresInS: "2592000" });
  const [target, setTarget] = useState(before ?? { to: query.to ?? "query", group: query.group, query: query.query ?? "" });
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const preview = usePreview(target);
  const devices = preview.data?.devices ?? 0;
  const content = readJson(text);
  const choose = (word) => {
    // Only what nobody has touched yet is replaced.
    if (text === written(BEGINNINGS[kind])) setText(written(BEGINNINGS[word]));
    setKind(word);
  };
  const submit = async (event) => {
    event.preventDefault();
    setProblem(null);
    const meant = targetOf(target);
    if (content.problem) return setProblem(new Error(`The content is not right yet. ${content.problem}`));
    if (!meant || !devices) return setProblem(new Error("Choose at least one device that is known here."));
    if (!await isMeant(meant, devices, "Push to")) return undefined;
    setBusy(true);
    try {
      const said = kind === "config" ? { variables: content.value } : { definition: content.value };
      const put = await push(kind, name.trim(), { ...said, target: meant, perMinute: Number(pace.perMinute),
        expiresInS: Number(pace.expiresInS), expectedDevices: preview.data.devices });
      tell(`Revision ${put.versions[0].revision} is on its way`);
      go(["wanted", kind, name.trim()]);
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
    return undefined;
  };
  return html`<form class="panel stack" onSubmit=${submit}>
    ${!fixed && html`<div class="fields">
      <${Choice} label="Kind" value=${kind} options=${KINDS} onText=${choose} />
      <${Field} label="Name" value=${name} onText=${setName} required maxlength="255" /></div>`}
    <${JsonField} id="content" rows=${18} value=${text} onText=${setText} problem=${content.problem}
      label=${kind === "config" ? "Variables: names and texts" : "Definition, as Conductor's API takes it"} />
    <${TargetField} fields=${target} set=${(change) => setTarget({ ...target, ...change })} preview=${preview} />
    <div class="fields">
      <${Field} label="Orders in a minute" type="number" min="1" max="100000" required value=${pace.perMinute}
        onText=${(perMinute) => setPace({ ...pace, perMinute })} hint="At most" />
      <${Choice} label="Good for" value=${pace.expiresInS} options=${EXPIRIES}
        onText=${(expiresInS) => setPace({ ...pace, expiresInS })} />
    </div>
    <${Trouble} error=${problem} />
    <div class="buttons"><button type="submit" class="primary" disabled=${busy || !preview.fresh}>
      Push to ${count(devices)} ${devices === 1 ? "device" : "devices"}</button></div>
  </form>`;
}
