// The box that asks for a token, and what stands in the header of each page about the reader.

import { asked, self, signIn, signOut } from "./session.js";
import { html } from "./web/dom.js";
import { Gate } from "./web/gate.js";
import { place } from "./web/router.js";

const enter = (fields) => signIn(fields.get("token").trim());

/** Shows itself when a request was refused, and stays until there is a token. */
export function SignIn() {
  return html`<${Gate} open=${asked.value} title="Sign in to the fleet" action="Sign in" enter=${enter}>
    <p class="soft small">An administrator gives you a token. The first one is made on the control
      plane's machine: <code>baton cloud token --name ops --role admin</code></p>
    <label>Token<input type="password" name="token" required autocomplete="current-password"
      maxlength="200" spellcheck="false" /></label>
  <//>`;
}

/** Whose devices are shown, who looks, and the way out. */
export function Reader() {
  const me = self.value;
  if (!me) return null;
  const { tenant = me.presentTenant } = place.value.query;
  const choose = (event) => {
    // Everything on the screen is another tenant's: begin where nothing of the old one is named.
    location.hash = `#/overview?tenant=${encodeURIComponent(event.currentTarget.value)}`;
    location.reload();
  };
  return html`<div class="reader">
    ${me.tenants.length > 1 && html`<select aria-label="Tenant" value=${tenant} onChange=${choose}>
      ${me.tenants.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}
    </select>`}
    ${me.tokenId && html`<span class="soft small" title=${`${me.role}${
      me.areas.length ? ` in ${me.areas.join(", ")}` : ""}`}>${me.name}</span>
      <button type="button" class="quiet" onClick=${signOut}>Sign out</button>`}
  </div>`;
}
