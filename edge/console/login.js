// The box that asks for a key, where the device asks for a token. What is done with it stands in
// session.js.

import { login, logout, known, wanted } from "./session.js";
import { html, useEffect, useRef, useState } from "./web/dom.js";
import { Trouble } from "./web/parts.js";

/** Shows itself when a request was refused, and stays until there is a token. */
export function Login() {
  const box = useRef(null);
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const open = wanted.value;
  useEffect(() => {
    if (open && !box.current.open) box.current.showModal();
    if (!open && box.current.open) box.current.close();
  }, [open]);
  const submit = async (event) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    const form = event.currentTarget;
    setBusy(true);
    setProblem(null);
    try {
      await login(fields.get("key").trim(), fields.get("secret").trim());
      form.reset();
    } catch (error) {
      setProblem(error);
    }
    setBusy(false);
  };
  return html`<dialog ref=${box} aria-labelledby="login-title" onCancel=${(event) => event.preventDefault()}>
    <form class="stack" onSubmit=${submit}>
      <h2 id="login-title">This device asks who you are</h2>
      <p class="soft small">An administrator gives you an access key: its id and its secret.</p>
      <label>Key id<input type="text" name="key" required autocomplete="username" spellcheck="false" /></label>
      <label>Key secret<input type="password" name="secret" required autocomplete="current-password" /></label>
      <${Trouble} error=${problem} />
      <div class="buttons"><button type="submit" class="primary" disabled=${busy}>Log in</button></div>
    </form>
  </dialog>`;
}

/** In the header of a page, as long as there is something to leave. */
export function Logout() {
  return known.value && html`<button type="button" class="quiet" onClick=${logout}>Log out</button>`;
}
