// The panel of a diagram, whose module is fetched when a page shows one first.
// Nothing is drawn here but what stands there meanwhile.

import { html, useEffect, useState } from "./dom.js";
import { Panel, Trouble } from "./parts.js";

let part = null;

/** A panel with the diagram of a definition that has tasks; what it takes says diagram.js. */
export function DiagramPanel({ title = "Diagram", ...props }) {
  const [, setTimes] = useState(0);
  const [error, setError] = useState(null);
  const there = Boolean(props.definition?.tasks?.length);
  const fetchIt = () => {
    setError(null);
    import("./diagram.js").then((found) => {
      part = found;
      setTimes((times) => times + 1);
    }, () => setError(new Error("The diagram could not be fetched.")));
  };
  useEffect(() => {
    if (there && !part) fetchIt();
  }, [there]);
  if (!there) return null;
  return html`<${Panel} title=${title}>
    <${Trouble} error=${error} again=${fetchIt} />
    ${part ? html`<${part.Diagram} ...${props} />`
      : !error && html`<p class="waiting" role="status">Loading…</p>`}
  <//>`;
}
