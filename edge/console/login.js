// The box that asks for a key, where the device asks for a token. What is done with it stands in
// session.js.

import { login, logout, known, wanted } from "./session.js";
import { html } from "./web/dom.js";
import { Gate } from "./web/gate.js";

const enter = (fields) => login(fields.get("key").trim(), fields.get("secret").trim());

/** Shows itself when a request was refused, and stays until there is a token. */
export function Login() {
  return html`<${Gate} open=${wanted.value} title="This device asks who you are" action="Log in" enter=${enter}>
    <p class="soft small">An administrator gives you an access key: its id and its secret.</p>
    <label>Key id<input type="text" name="key" required autocomplete="username" spellcheck="false" /></label>
    <label>Key secret<input type="password" name="secret" required autocomplete="current-password" /></label>
  <//>`;
}

/** In the header of a page, as long as there is something to leave. */
export function Logout() {
  return known.value && html`<button type="button" class="quiet" onClick=${logout}>Log out</button>`;
}
