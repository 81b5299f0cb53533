// What pages show of orders: columns, how far one has come, and taking one back.

import { getOrder, withdrawOrder } from "./api.js";
import { attempt } from "./kit.js";
import { may } from "./session.js";
import { html } from "./web/dom.js";
import { dateTime, shortId } from "./web/format.js";
import { useResource } from "./web/live.js";
import { Ago, Trouble, ask } from "./web/parts.js";
import { link } from "./web/router.js";
import { Shape, Status } from "./web/status.js";

const OPEN = new Set(["queued", "sent", "received"]);

/** Whether an order has come to nothing yet. */
export const isOpen = (order) => OPEN.has(order.state);

/** What an order is about, in few words. */
export function aboutOf({ kind, body }) {
  return body?.name ?? body?.definition?.name ?? (body?.workflowId ? shortId(body.workflowId) : kind);
}

/** What an order waits for, or why it has come to nothing; "" where there is nothing to say. */
export const whyOf = (order) => (order.waitsFor ? `waits for ${order.waitsFor}` : order.reason ?? "");

/** Ask, and take an order back that was not sent yet. */
export async function withdraw(order, done) {
  const yes = await ask({
    title: "Take this order back?", text: `${order.kind} ${aboutOf(order)} to ${order.device} was not sent yet.`,
    action: "Take back", danger: true,
  });
  if (!yes) return;
  await attempt(() => withdrawOrder(order.id), "The order was taken back");
  done();
}

/** `device` says whether the rows are to several devices; `done()` is called after a withdrawal. */
export function orderColumns({ device = true, done }) {
  return [
    { title: "Order", grow: true, cell: (row) => html`${row.kind} ${aboutOf(row)}` },
    device && { title: "Device", cell: (row) => html`<a class="above"
      href=${link(["devices", row.device])}>${row.device}</a>` },
    { title: "State", bare: true, cell: (row) => html`<${Status} value=${row.state} />
      <span class="sub">${whyOf(row)}</span>` },
    { title: "Given", cell: (row) => html`<${Ago} at=${row.issuedMs} />` },
    device && { title: "By", keep: true, cell: (row) => row.issuedBy },
    may("orders", "operator") && { title: "", bare: true, cell: (row) => row.state === "queued" && html`<button
      type="button" class="quiet above" aria-label=${`Take back ${row.kind} to ${row.device}`}
      onClick=${() => withdraw(row, done)}>Take back</button>` },
  ].filter(Boolean);
}

/** Whether all orders of a campaign were given, and whether they have come to something, too. */
export function CampaignState({ campaign: { state, progress } }) {
  const open = state === "finished" && progress.queued + progress.sent > 0;
  return open ? html`<${Status} value="running" label="All given" />` : html`<${Status} value=${state} />`;
}

const STEPS = ["queued", "sent", "received", "done"];
const AT = (order) => [order.issuedMs, order.sentMs, 0, order.endedMs];

/** The way of one order: given, sent, received, done, or where that ended. */
export function OrderSteps({ order }) {
  const ended = !isOpen(order);
  const bad = ended && order.state !== "done";
  const reached = ended ? 3 : STEPS.indexOf(order.state);
  const words = ["Queued", "Sent", "Received", bad ? order.state : "Done"];
  const passed = (index) => (bad && index < 3 ? index === 0 || order.sentMs > 0 : index <= reached);
  return html`<div class="steps-of" role="group" aria-label="How far the order has come">
    <ol>${words.map((word, index) => {
      const state = index === 3 && bad ? order.state : passed(index) ? "done" : "queued";
      return html`<li key=${word} class=${passed(index) ? "passed" : ""}
        aria-current=${index === reached ? "step" : null}>
        <${Shape} status=${state} /><span class="word">${word}</span>
        ${AT(order)[index] > 0 && html`<span class="soft small">${dateTime(AT(order)[index])}</span>`}</li>`;
    })}</ol>
    <p class="soft small" aria-live="polite">${whyOf(order)
      || (order.state === "done" ? "The device has reported that it is done." : "")}</p>
  </div>`;
}

/** One order that is followed until it has come to something. */
export function FollowOrder({ id }) {
  const found = useResource((abort) => getOrder(id, abort), id, {
    affects: (change) => change.device === found.data?.device, everyMs: 3000,
  });
  const order = found.data;
  return html`<section class="panel" aria-label="Order under way">
    <${Trouble} error=${found.error} again=${found.reload} />
    ${order && html`<p><a href=${link(["orders", order.id])}>${order.kind} ${aboutOf(order)}</a> to ${order.device}</p>
      <${OrderSteps} order=${order} />`}
  </section>`;
}
