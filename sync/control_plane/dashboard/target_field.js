// Whom an order is for: devices by name, a group, or what a search finds, with what that comes to.

import { getGroups, previewTarget } from "./api.js";
import { Choice, Field, listOf, useSettled } from "./kit.js";
import { may } from "./session.js";
import { html } from "./web/dom.js";
import { count } from "./web/format.js";
import { useResource } from "./web/live.js";
import { Facts, Trouble, ask } from "./web/parts.js";
import { wordOf } from "./web/status.js";

const WAYS = [["devices", "Devices by name"], ["group", "A group"], ["query", "What a search finds"]];
const NAMES_LIMIT = 50;

/** What the API takes, from the fields `{to, devices, group, query}`; null = nothing is chosen yet. */
export function targetOf({ to, devices, group, query }) {
  if (to === "group") return group ? { group } : null;
  if (to === "query") return { query: query ?? "" };
  const names = listOf(devices);
  return names.length ? { devices: names } : null;
}

/** Whether what is meant for all devices is: an empty search is easily left as it was. */
export async function isMeant(target, devices, action) {
  if (target.query !== "" || devices < 2) return true;
  return Boolean(await ask({ title: `${action} all ${count(devices)} devices?`, action: "For all of them", danger: true,
    text: "The search is empty, so every device of this tenant is meant." }));
}

/** The fields that say what a query of the API says, such as the one of an earlier target. */
export function fieldsOf(query) {
  const group = /^group:"([^"]+)"$/.exec(query);
  return group ? { to: "group", group: group[1] } : { to: "query", query };
}

/**
 * Whom a target finds now, asked when the writing pauses: a resource with the API's preview, which is
 * `fresh` when it is that of what is written now, and not of what was written before.
 */
export function usePreview(fields) {
  const present = JSON.stringify(targetOf(fields));
  const key = useSettled(present);
  const target = JSON.parse(key);
  const found = useResource(() => (target ? previewTarget(target) : Promise.resolve(null)), key, { everyMs: 15_000 });
  return { ...found, fresh: key === present && Boolean(!target || found.data || found.error) };
}

/** The fields, which `set(changes)` changes, and the preview below. */
export function TargetField({ fields, set, preview }) {
  const way = fields.to ?? "devices";
  const groups = useResource((abort) => (may("devices") ? getGroups(abort) : Promise.resolve({ groups: [] })), "groups");
  const names = (groups.data?.groups ?? []).map((one) => one.name);
  const tooMany = way === "devices" && listOf(fields.devices).length > NAMES_LIMIT;
  return html`<fieldset><legend>Whom it is for</legend>
    <div class="options" role="radiogroup" aria-label="Whom it is for">
      ${WAYS.map(([word, title]) => html`<label class="tick" key=${word}><input type="radio" name="to" value=${word}
        checked=${word === way} onChange=${() => set({ to: word })} />${title}</label>`)}
    </div>
    ${way === "devices" && html`<${Field} label="Devices" value=${fields.devices ?? ""}
      onText=${(devices) => set({ devices })} placeholder="gate-7 gate-8"
      hint=${tooMany ? `At most ${NAMES_LIMIT} by name; make a group of more.` : "Names with spaces or commas between"} />`}
    ${way === "group" && html`<${Choice} label="Group" value=${fields.group ?? ""} onText=${(group) => set({ group })}
      options=${[["", "Choose one"], ...names]} />`}
    ${way === "query" && html`<${Field} label="Search" value=${fields.query ?? ""} onText=${(query) => set({ query })}
      placeholder="tag:camera -state:never" hint="As in the box above the devices; empty means all of them" />`}
    <${Preview} preview=${preview} />
  </fieldset>`;
}

function Preview({ preview }) {
  const found = preview.data;
  if (preview.error) return html`<${Trouble} error=${preview.error} />`;
  if (!found) return html`<p class="soft small" aria-live="polite">Nobody is chosen yet.</p>`;
  const deaf = found.withoutOrders;
  return html`<div aria-live="polite" class="preview"><${Facts} facts=${[
    ["Devices", html`<strong>${count(found.devices)}</strong>`],
    ...Object.entries(found.states).map(([state, many]) => [wordOf(state), count(many)]),
    found.unknown.length > 0 && ["Not known here", html`<strong class="bad-text">${found.unknown.join(", ")}</strong>`],
    deaf > 0 && ["Do not take orders yet", html`<strong class="bad-text">${count(deaf)}</strong>`],
  ].filter(Boolean).map(([name, value], index) => [name, value, index])} />
    ${found.sample.length > 0 && html`<p class="soft small">${found.sample.slice(0, 8).join(", ")}${
      found.devices > 8 ? " …" : ""}</p>`}
    ${deaf > 0 && html`<p class="soft small">Those wait until they say that they take orders of this control
      plane: its key must stand in <code>order_keys</code> on the device.</p>`}</div>`;
}
