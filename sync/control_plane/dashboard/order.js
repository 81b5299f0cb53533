// The story of one order: what it tells, to whom, and how far it has come.

import { getOrder } from "./api.js";
import { Head } from "./kit.js";
import { OrderSteps, aboutOf, withdraw } from "./order_parts.js";
import { may } from "./session.js";
import { html } from "./web/dom.js";
import { dateTime } from "./web/format.js";
import { JsonView } from "./web/json_view.js";
import { useResource } from "./web/live.js";
import { Ago, Facts, Panel, Waiting } from "./web/parts.js";
import { link } from "./web/router.js";
import { Status } from "./web/status.js";

export function Page({ order: id }) {
  const found = useResource((abort) => getOrder(id, abort), id, {
    affects: (change) => change.device === found.data?.device, everyMs: 5000,
  });
  const order = found.data;
  const workflowId = order && (order.output?.workflowId ?? order.body?.workflowId);
  const campaign = id.includes(".") ? id.slice(0, id.lastIndexOf(".")) : "";
  return html`<${Head} path=${html`<a href=${link(["orders"])}>Orders</a>`}
      title=${order ? `${order.kind} ${aboutOf(order)}` : "Order"} beside=${order && html`<${Status} value=${order.state} />`}>
      ${order?.state === "queued" && may("orders", "operator") && html`<button type="button" class="danger"
        onClick=${() => withdraw(order, found.reload)}>Take back</button>`}
    <//>
    <${Waiting} resource=${found}>${() => html`
      <${Panel} title="How far it has come"><${OrderSteps} order=${order} /><//>
      <div class="split even"><div class="stack">
        <${Panel} title="The order"><${Facts} facts=${[
          ["Device", html`<a href=${link(["devices", order.device])}>${order.device}</a>`],
          ["Given", html`<${Ago} at=${order.issuedMs} />`], ["By", order.issuedBy],
          ["Good until", dateTime(order.expiresMs)], ["Sendings", String(order.sendings)],
          ["Ended", order.endedMs ? html`<${Ago} at=${order.endedMs} />` : "–"],
          workflowId && ["Execution", html`<a href=${link(["executions", order.device, workflowId])}>
            <code>${workflowId}</code></a>`],
          campaign && ["Campaign", html`<a href=${link(["campaigns", campaign])}><code>${campaign}</code></a>`],
          ["Id", html`<code>${order.id}</code>`],
        ]} /><//>
      </div><div class="stack">
        <${Panel} title="What it says"><${JsonView} value=${order.body} label="Body of the order" />
          ${order.condition && html`<h3>Only if</h3><${JsonView} value=${order.condition} label="Condition" />`}<//>
        <${Panel} title="What it came to"><${JsonView} value=${order.output} label="Output of the order" /><//>
      </div></div>`}<//>`;
}
