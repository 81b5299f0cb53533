// Whom alerts tell, and how each message has gone.

import { getChannels, getDeliveries, putChannel, removeChannel, testChannel } from "./api.js";
import { Choice, Field, FormBox, Head, attempt } from "./kit.js";
import { html, useState } from "./web/dom.js";
import { count } from "./web/format.js";
import { useResource } from "./web/live.js";
import { Ago, Empty, Panel, Table, Waiting, ask, tell } from "./web/parts.js";
import { link } from "./web/router.js";
import { Status } from "./web/status.js";

const KINDS = [["webhook", "Web hook"], ["email", "E-mail"], ["mqtt", "MQTT"]];
const HINTS = { webhook: "https://... ; JSON is posted there", email: "somebody@example.org", mqtt: "A topic on the broker" };
const DELIVERIES = 30;

export function Page() {
  const found = useResource(getChannels, "channels");
  const sent = useResource((abort) => getDeliveries({ limit: DELIVERIES }, abort), "deliveries", { everyMs: 3000 });
  const [edited, setEdited] = useState(null);
  const act = async (work, words) => {
    await attempt(work, words);
    found.reload();
    sent.reload();
  };
  const remove = async ({ name }) => {
    const yes = await ask({ title: `Remove the channel ${name}?`, text: "Messages that are still on their way to it are not sent.",
      action: "Remove", danger: true });
    if (yes) await act(() => removeChannel(name), `The channel ${name} is removed`);
  };
  const columns = [
    { title: "Channel", grow: true, cell: (row) => html`<span class="strong">${row.name}</span>` },
    { title: "Kind", cell: (row) => row.kind },
    { title: "Address", cell: (row) => row.address },
    { title: "", bare: true, cell: (row) => html`
      <button type="button" class="quiet" aria-label=${`Test ${row.name}`}
        onClick=${() => act(() => testChannel(row.name), "A test is on its way; see below how it goes")}>Test</button>
      <button type="button" class="quiet" aria-label=${`Change ${row.name}`} onClick=${() => setEdited(row)}>Change</button>
      <button type="button" class="quiet" aria-label=${`Remove ${row.name}`} onClick=${() => remove(row)}>Remove</button>` },
  ];
  return html`<${Head} title="Channels of alerts" path=${html`<a href=${link(["alerts"])}>Alerts</a>`}>
      <button type="button" class="primary" onClick=${() => setEdited({ name: "", kind: "webhook", address: "" })}>New channel</button>
    <//>
    <${Waiting} resource=${found}>${() => html`<section class="panel flush" aria-label="All channels">
      ${found.data.channels.length
        ? html`<${Table} label="Channels" columns=${columns} rows=${found.data.channels} keyOf=${(row) => row.name} />`
        : html`<${Empty} title="Nobody is told yet">A channel is a web hook, an e-mail address or a topic of MQTT, which
            rules can name.<//>`}
    </section>`}<//>
    <${Deliveries} sent=${sent} />
    ${edited && html`<${ChannelBox} edited=${edited} done=${found.reload} close=${() => setEdited(null)} />`}`;
}

const stateOf = (row) => (row.doneMs ? (row.error ? "failed" : "done") : row.attempts ? "pending" : "queued");

const DELIVERY = [
  { title: "Message", grow: true, cell: (row) => html`${row.message.rule}: ${row.message.state}, ${count(row.message.count)}` },
  { title: "To", cell: (row) => row.channel },
  { title: "State", bare: true, wide: true, cell: (row) => html`<${Status} value=${stateOf(row)}
      label=${{ done: "Delivered", failed: "Given up", pending: "Tried again later", queued: "On its way" }[stateOf(row)]} />
    ${row.error && html`<span class="sub">${row.error}</span>`}` },
  { title: "Attempts", num: true, cell: (row) => count(row.attempts) },
  { title: "Made", cell: (row) => html`<${Ago} at=${row.createdMs} />` },
];

function Deliveries({ sent }) {
  return html`<${Panel} title="The newest messages"><${Waiting} resource=${sent}>${() => (sent.data.deliveries.length
    ? html`<${Table} label="Messages" columns=${DELIVERY} rows=${sent.data.deliveries} keyOf=${(row) => row.deliveryId} />`
    : html`<p class="soft">No message was made yet.</p>`)}<//><//>`;
}

function ChannelBox({ edited, done, close }) {
  const [channel, setChannel] = useState(edited);
  const set = (field) => (value) => setChannel({ ...channel, [field]: value });
  const act = async () => {
    await putChannel(channel.name.trim(), { kind: channel.kind, address: channel.address.trim() });
    tell(`The channel ${channel.name.trim()} is saved`);
    done();
  };
  return html`<${FormBox} title=${edited.name ? `Change ${edited.name}` : "New channel"} action="Save" act=${act} close=${close}>
    ${!edited.name && html`<${Field} label="Name" value=${channel.name} onText=${set("name")} required maxlength="64" />`}
    <${Choice} label="Kind" value=${channel.kind} options=${KINDS} onText=${set("kind")} />
    <${Field} label="Address" value=${channel.address} onText=${set("address")} required maxlength="1000" hint=${HINTS[channel.kind]} />
  <//>`;
}
