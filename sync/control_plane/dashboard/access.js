// Who may do what: tokens with their roles and ends, and tenants.

import { getTenants, getTokens, makeToken, putTenant, removeTenant, revokeToken } from "./api.js";
import { ActionLink, Choice, Field, FormBox, Head, Tick, attempt } from "./kit.js";
import { begin, may, self } from "./session.js";
import { html, useState } from "./web/dom.js";
import { count, dateTime } from "./web/format.js";
import { now, useResource } from "./web/live.js";
import { Ago, Empty, Panel, Table, Waiting, ask, tell } from "./web/parts.js";
import { link } from "./web/router.js";
import { Status } from "./web/status.js";

const AREAS = ["devices", "executions", "orders", "logs", "alerts", "access", "audit"];
const ROLES = [["viewer", "Viewer: looks"], ["operator", "Operator: also gives orders, tags, groups"],
  ["admin", "Admin: also tokens, tenants, rules, audit, removal"]];
const DAY_MS = 86_400_000;
const ENDS = [["30", "In 30 days"], ["1", "In a day"], ["7", "In a week"], ["365", "In a year"], ["0", "Never"]];

export function Page() {
  const found = useResource(getTokens, "tokens", { everyMs: 30_000 });
  const [box, setBox] = useState("");
  const [made, setMade] = useState(null);
  return html`<${Head} title="Access">
      ${may("audit", "admin") && html`<${ActionLink} href=${link(["audit"])}>Audit<//>`}
      <button type="button" class="primary" onClick=${() => setBox("token")}>New token</button>
    <//>
    ${made && html`<${Made} made=${made} close=${() => setMade(null)} />`}
    ${self.value.tokenId === "" && html`<p class="panel small">Nobody is asked for a token here: set${" "}
      <code>enabled = true</code> under <code>[auth]</code>, and make the first one on the machine with <code>baton cloud token</code>.</p>`}
    <${Waiting} resource=${found}>${() => html`<${Tokens} tokens=${found.data.tokens} reload=${found.reload} />`}<//>
    <${Tenants} />
    ${box === "token" && html`<${TokenBox} close=${() => setBox("")} done=${(answer) => { setMade(answer); found.reload(); }} />`}`;
}

/** A new token, shown this once: it is kept nowhere. */
function Made({ made, close }) {
  const copy = () => navigator.clipboard.writeText(made.token).then(() => tell("Copied"));
  return html`<section class="panel" aria-label="The new token" role="status">
    <p><strong>The token of ${made.made.name}.</strong> It is shown this once, and kept nowhere.</p>
    <code class="secret">${made.token}</code>
    <div class="buttons">${navigator.clipboard && html`<button type="button" onClick=${copy}>Copy</button>`}
      <button type="button" onClick=${close}>I have it</button></div>
  </section>`;
}

function stateOf(token, nowMs) {
  if (token.revokedMs) return ["stopped", "Revoked"];
  if (token.expiresMs && token.expiresMs <= nowMs) return ["expired", "Expired"];
  return ["done", "Good"];
}

function Tokens({ tokens, reload }) {
  const revoke = async (token) => {
    const mine = token.tokenId === self.value.tokenId;
    const yes = await ask({ title: `Revoke ${token.name}?`, action: "Revoke", danger: true,
      text: `Whoever uses it is refused within a second, for good.${mine ? " It is the one that you use." : ""}` });
    if (!yes) return;
    await attempt(() => revokeToken(token.tokenId), `${token.name} is revoked`);
    reload();
  };
  const columns = [
    { title: "Token", grow: true, cell: (token) => html`<span class="strong">${token.name}</span>
      <code class="sub">${token.tokenId}</code>` },
    { title: "State", bare: true, cell: (token) => {
      const [status, label] = stateOf(token, now.value);
      return html`<${Status} value=${status} label=${label} />`;
    } },
    { title: "Role", cell: (token) => token.role },
    { title: "Areas", cell: (token) => token.areas.join(", ") || "all" },
    { title: "Tenant", cell: (token) => (token.tenant === "*" ? "all" : token.tenant) },
    { title: "Ends", cell: (token) => (token.expiresMs ? dateTime(token.expiresMs) : "never") },
    { title: "Made", keep: true, cell: (token) => html`<span><${Ago} at=${token.createdMs} /> by ${token.createdBy}</span>` },
    { title: "", bare: true, cell: (token) => !token.revokedMs && html`<button type="button" class="quiet"
      aria-label=${`Revoke ${token.name}`} onClick=${() => revoke(token)}>Revoke</button>` },
  ];
  const inOrder = [...tokens].reverse();
  return html`<section class="panel flush" aria-label="All tokens">${tokens.length
    ? html`<${Table} label="Tokens" columns=${columns} rows=${inOrder} keyOf=${(token) => token.tokenId} />`
    : html`<${Empty} title="There is no token yet">Make one for each person and each program.<//>`}</section>`;
}

function TokenBox({ done, close }) {
  const me = self.value;
  const [token, setToken] = useState({ name: "", role: "viewer", tenant: me.presentTenant, areas: [], days: "30" });
  const set = (field) => (value) => setToken({ ...token, [field]: value });
  const act = async () => {
    const days = Number(token.days);
    done(await makeToken({ name: token.name.trim(), role: token.role, tenant: token.tenant, areas: token.areas,
      expiresMs: days ? Math.round(now.value + days * DAY_MS) : 0 }));
  };
  const tick = (area) => (yes) => set("areas")(yes ? [...token.areas, area] : token.areas.filter((one) => one !== area));
  const tenants = [...(me.tenant === "*" ? [["*", "All tenants"]] : []), ...me.tenants];
  return html`<${FormBox} title="New token" action="Make it" act=${act} close=${close} wide>
    <div class="fields">
      <${Field} label="Name" value=${token.name} onText=${set("name")} required maxlength="100" hint="Who uses it" />
      <${Choice} label="Role" value=${token.role} options=${ROLES} onText=${set("role")} />
      <${Choice} label="Tenant" value=${token.tenant} options=${tenants} onText=${set("tenant")} />
      <${Choice} label="Ends" value=${token.days} options=${ENDS} onText=${set("days")} />
    </div>
    <fieldset><legend>Areas</legend><div class="options">${AREAS.map((area) => html`<${Tick} key=${area} label=${area}
      checked=${token.areas.includes(area)} onTick=${tick(area)} />`)}</div><span class="hint">None means all of them.</span></fieldset>
  <//>`;
}

function Tenants() {
  const found = useResource(getTenants, "tenants", { everyMs: 30_000 });
  const [edited, setEdited] = useState(null);
  const all = self.value.tenant === "*";
  const changed = () => {
    found.reload();
    // The choice of tenants in the header is what the control plane says of the reader.
    begin();
  };
  const remove = async ({ tenant }) => {
    const yes = await ask({ title: `Remove ${tenant}?`, action: "Remove", danger: true,
      text: "Its groups, campaigns, pushes and alerts go with it, and its tokens become void, for good." });
    if (yes && await attempt(() => removeTenant(tenant), `The tenant ${tenant} is removed`)) changed();
  };
  const columns = [
    { title: "Tenant", grow: true, cell: (row) => row.tenant },
    { title: "Title", cell: (row) => row.title || "–" },
    { title: "Devices", num: true, cell: (row) => count(row.devices) },
    all && { title: "", bare: true, cell: (row) => html`<span class="row"><button type="button" class="quiet"
      aria-label=${`Change the title of ${row.tenant}`} onClick=${() => setEdited(row)}>Change</button>
      ${row.devices === 0 && row.tenant !== self.value.presentTenant && html`<button type="button" class="quiet" aria-label=${`Remove ${row.tenant}`}
        onClick=${() => remove(row)}>Remove</button>`}</span>` },
  ].filter(Boolean);
  return html`<${Panel} title="Tenants" aside=${all && html`<button type="button"
      onClick=${() => setEdited({ tenant: "", title: "" })}>New tenant</button>`}>
    <${Waiting} resource=${found}>${() => (found.data.tenants.length
      ? html`<${Table} label="Tenants" columns=${columns} rows=${found.data.tenants} keyOf=${(row) => row.tenant} />
        ${all && html`<p class="soft small">One that has devices cannot be removed before
          they are; nor can the one that is looked at.</p>`}`
      : html`<p class="soft">None was made, and no device has spoken of one.</p>`)}<//><//>
    ${edited && html`<${TenantBox} edited=${edited} done=${changed} close=${() => setEdited(null)} />`}`;
}

function TenantBox({ edited, done, close }) {
  const [tenant, setTenant] = useState(edited.tenant);
  const [title, setTitle] = useState(edited.title);
  const act = async () => {
    await putTenant(tenant.trim(), title);
    tell(`The tenant ${tenant.trim()} is saved`);
    done();
  };
  return html`<${FormBox} title=${edited.tenant ? `Change ${edited.tenant}` : "New tenant"} action="Save" act=${act} close=${close}>
    ${!edited.tenant && html`<${Field} label="Name" value=${tenant} onText=${setTenant} required maxlength="64"
      hint="As devices say it in their topics" />`}
    <${Field} label="Title" value=${title} onText=${setTitle} maxlength="200" />
  <//>`;
}
