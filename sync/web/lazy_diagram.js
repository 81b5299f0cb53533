// The panel of a diagram, whose module is fetched when a page shows one first.
// Nothing is drawn here but what stands there meanwhile.

import { html } from "./dom.js";
import { useResource } from "./live.js";
import { Panel, Waiting } from "./parts.js";

let part = null;

async function load() {
  try {
    part ??= await import("./diagram.js");
  } catch {
    throw new Error("The diagram could not be fetched.");
  }
  return part;
}

/** A panel with the diagram of a definition that has tasks; what it takes says diagram.js. */
export function DiagramPanel({ title = "Diagram", ...props }) {
  const there = Boolean(props.definition?.tasks?.length);
  const fetched = useResource(() => (there ? load() : Promise.resolve(null)), `diagram ${there}`);
  if (!there) return null;
  return html`<${Panel} title=${title}>${part ? html`<${part.Diagram} ...${props} />`
    : html`<${Waiting} resource=${fetched}>${() => null}<//>`}<//>`;
}
