// A new order: start a workflow on devices, on a group, or on what a search finds.
// What an address names is filled in: whom it is for, and which workflow.

import { getAllWanted, getFigures, giveOrder, makeCampaign } from "./api.js";
import { JsonField, readJson } from "./json_field.js";
import { Choice, Field, Head, Tick } from "./kit.js";
import { may } from "./session.js";
import { TargetField, isMeant, targetOf, usePreview } from "./target_field.js";
import { html, useRef, useState } from "./web/dom.js";
import { count } from "./web/format.js";
import { useResource } from "./web/live.js";
import { Trouble, tell } from "./web/parts.js";
import { go, link } from "./web/router.js";

const MONTH_H = 24 * 31;
const EXPIRIES = [["900", "15 minutes"], ["3600", "An hour"], ["86400", "A day"], ["604800", "A week"],
  ["2592000", "30 days"]];

export function Page({ query }) {
  return html`<${Head} title="New order" path=${html`<a href=${link(["orders"])}>Orders</a>`} />
    <${NewOrder} query=${query} />`;
}

/** Names of workflows that are known here: what ran lately, and what was pushed. */
function useNames() {
  const ran = useResource((abort) => (may("devices") ? getFigures({ hours: MONTH_H }, abort)
    : Promise.resolve({ workflows: [] })), "names");
  const pushed = useResource(getAllWanted, "pushed");
  return [...new Set([...(ran.data?.workflows ?? []).map((one) => one.name),
    ...(pushed.data?.wanted ?? []).filter((one) => one.kind === "put-workflow").map((one) => one.name)])].sort();
}

/**
 * An idempotency key for what is asked: the same until something else is, so that whoever has heard no
 * answer and tries again does not order it twice.
 */
function useKey() {
  const last = useRef({ asked: "", key: "" });
  return (asked) => {
    if (last.current.asked !== asked) {
      const random = crypto.getRandomValues(new Uint8Array(16));
      last.current = { asked, key: [...random].map((byte) => byte.toString(16).padStart(2, "0")).join("") };
    }
    return last.current.key;
  };
}

function NewOrder({ query }) {
  const keyOf = useKey();
  const [target, setTarget] = useState({ to: query.to, devices: query.devices, group: query.group, query: query.query });
  const [order, setOrder] = useState({ name: query.workflow ?? "", version: "", input: "{}", correlationId: "",
    notRunning: false, expiresInS: "86400", perMinute: "60", title: "" });
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const preview = usePreview(target);
  const names = useNames();
  const input = readJson(order.input);
  const set = (field) => (value) => setOrder({ ...order, [field]: value });
  const meant = targetOf(target);
  const one = meant?.devices?.length === 1;
  const devices = preview.data?.devices ?? 0;
  const submit = async (event) => {
    event.preventDefault();
    setProblem(null);
    if (input.problem) return setProblem(new Error(`The input is not right yet. ${input.problem}`));
    // Of one device nothing has to be counted first: the control plane knows it, or says that it does not.
    if (!meant || !(one || devices)) return setProblem(new Error("Choose at least one device that is known here."));
    if (!await isMeant(meant, devices, "Give this order to")) return undefined;
    setBusy(true);
    try {
      await give(order, input.value, meant, one, devices, keyOf(JSON.stringify([order, meant])));
    } catch (error) {
      setProblem(error);
    }
    return setBusy(false);
  };
  return html`<form class="panel stack" onSubmit=${submit}>
    <${TargetField} fields=${target} set=${(change) => setTarget({ ...target, ...change })} preview=${preview} />
    <fieldset><legend>What they are to start</legend>
      <div class="fields">
        <${Field} label="Workflow" value=${order.name} onText=${set("name")} required maxlength="255" list="workflows" />
        <${Field} label="Version" value=${order.version} onText=${set("version")} inputmode="numeric" pattern="[0-9]*"
          hint="Empty: the latest on the device" />
        <${Field} label="Correlation id" value=${order.correlationId} onText=${set("correlationId")} maxlength="255" />
      </div>
      <datalist id="workflows">${names.map((name) => html`<option key=${name} value=${name} />`)}</datalist>
      <${JsonField} id="input" label="Input" value=${order.input} onText=${set("input")} problem=${input.problem} />
      <${Tick} label="Only where no execution of this workflow is under way" checked=${order.notRunning}
        onTick=${set("notRunning")} />
    </fieldset>
    <fieldset><legend>When</legend><div class="fields">
      <${Choice} label="Good for" value=${order.expiresInS} onText=${set("expiresInS")} options=${EXPIRIES}
        hint="Not carried out later than that" />
      ${!one && html`<${Field} label="Orders in a minute" value=${order.perMinute} onText=${set("perMinute")}
          type="number" min="1" max="100000" required hint="At most" />
        <${Field} label="Title" value=${order.title} onText=${set("title")} maxlength="200" hint="For the list of campaigns" />`}
    </div></fieldset>
    <${Trouble} error=${problem} />
    <div class="buttons"><button type="submit" class="primary" disabled=${busy || !(one || preview.fresh)}>
      ${one ? "Give the order" : `Give the order to ${count(devices)} ${devices === 1 ? "device" : "devices"}`}</button></div>
  </form>`;
}

async function give(order, input, target, one, devices, id) {
  const body = { name: order.name.trim(), input };
  if (order.version) body.version = Number(order.version);
  if (order.correlationId) body.correlationId = order.correlationId;
  const asked = { id, kind: "start", body, expiresInS: Number(order.expiresInS) };
  if (order.notRunning) asked.condition = { notRunning: true };
  if (one) {
    const given = await giveOrder(target.devices[0], asked);
    tell("The order is given");
    go(["orders", given.id]);
    return;
  }
  const made = await makeCampaign({
    ...asked, target, title: order.title || `Start ${body.name}`, perMinute: Number(order.perMinute),
    expectedDevices: devices,
  });
  tell(`Orders to ${count(made.members)} devices are under way`);
  go(["campaigns", made.id]);
}
