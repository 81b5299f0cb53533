// The box that stands before the pages until its reader has shown who he is.
// What he shows, and what is done with it, stands in each face's own files.

import { html, useEffect, useRef, useState } from "./dom.js";
import { Trouble } from "./parts.js";

/**
 * Shows itself while `open` is true; nothing but an answer closes it.
 *
 * Args: `enter(fields)` tries what was written, a promise; what it refuses is shown, and nothing
 * that was written is lost. The children are the words and the fields.
 */
export function Gate({ open, title, action, enter, children }) {
  const box = useRef(null);
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    if (open && !box.current.open) box.current.showModal();
    if (!open && box.current.open) box.current.close();
  }, [open]);
  const submit = async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    setBusy(true);
    setProblem(null);
    try {
      await enter(new FormData(form));
      form.reset();
    } catch (error) {
      setProblem(error);
    }
    setBusy(false);
  };
  return html`<dialog ref=${box} aria-labelledby="gate-title" onCancel=${(event) => event.preventDefault()}>
    <form class="stack" onSubmit=${submit}>
      <h2 id="gate-title">${title}</h2>
      ${children}
      <${Trouble} error=${problem} />
      <div class="buttons"><button type="submit" class="primary" disabled=${busy}>${action}</button></div>
    </form>
  </dialog>`;
}
