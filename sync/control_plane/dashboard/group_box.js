// The box in which a group is made or changed; what a query finds is shown while it is written.

import { getDevices, putGroup } from "./api.js";
import { Field, FormBox, listOf, useSettled } from "./kit.js";
import { html, useState } from "./web/dom.js";
import { count } from "./web/format.js";
import { useResource } from "./web/live.js";
import { tell } from "./web/parts.js";

const SAMPLE = 6;
/** `group` is the one that is changed; without it a new one is made, of the kind "list" or "query". */
export function GroupBox({ group, kind: begun, done, close }) {
  const [kind, setKind] = useState(group ? (group.query === null ? "list" : "query") : begun || "query");
  const [name, setName] = useState(group?.name ?? "");
  const [description, setDescription] = useState(group?.description ?? "");
  const [query, setQuery] = useState(group?.query ?? "");
  const [members, setMembers] = useState("");
  const act = async () => {
    const body = { description };
    if (kind === "query") body.query = query.trim();
    // Whoever is in a list that is there is changed on its page, one by one.
    else if (!group) body.members = listOf(members);
    await putGroup(name.trim(), body);
    tell(`The group ${name.trim()} is saved`);
    done(name.trim());
  };
  return html`<${FormBox} title=${group ? `Change ${group.name}` : "New group"} action="Save" act=${act} close=${close} wide>
    ${!group && html`<${Field} label="Name" value=${name} onText=${setName} required maxlength="64" />`}
    <${Field} label="Description" value=${description} onText=${setDescription} maxlength="500" />
    ${!group && html`<div class="options" role="radiogroup" aria-label="Kind">
      ${[["query", "A query"], ["list", "A list"]].map(([word, title]) => html`<label class="tick" key=${word}>
        <input type="radio" name="kind" checked=${kind === word} onChange=${() => setKind(word)} />${title}</label>`)}
    </div>`}
    ${kind === "query" && html`<${Field} label="Query" value=${query} onText=${setQuery} required maxlength="1000"
        hint="As in the search box of the devices, such as tag:camera version:starts:1.4" />
      <${Found} query=${query} />`}
    ${kind === "list" && !group && html`<div class="field"><label>Devices<textarea rows="5" value=${members}
        aria-describedby="members-hint" onInput=${(event) => setMembers(event.currentTarget.value)}></textarea></label>
      <span class="hint" id="members-hint">Names with spaces, commas or line ends between; more can be added
        later.</span></div>`}
  <//>`;
}

function Found({ query }) {
  const settled = useSettled(query.trim());
  const found = useResource((abort) => (settled ? getDevices({ q: settled, limit: SAMPLE, count: true }, abort)
    : Promise.resolve(null)), settled);
  const said = () => {
    if (found.error) return html`<span class="bad-text">${found.error.message}</span>`;
    if (!found.data) return "Nothing is asked yet.";
    const names = found.data.devices.map((one) => one.device).join(", ");
    return `${count(found.data.total)} devices now${names && `: ${names}`}${found.data.next ? " …" : ""}`;
  };
  return html`<p class="small soft" aria-live="polite">${said()}</p>`;
}
