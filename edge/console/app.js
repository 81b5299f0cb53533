// The device console: which page stands under which address, and the frame around them.
// What a page shows stands in the file of that page.

import { Definitions } from "./definitions.js";
import { Execution } from "./execution.js";
import { Login, Logout } from "./login.js";
import { Overview } from "./overview.js";
import { ask, begin, headers } from "./session.js";
import { html, start, useEffect } from "./web/dom.js";
import { getSync } from "./api.js";
import { holdFocus } from "./web/focus.js";
import { followStream, speakAs, useResource } from "./web/live.js";
import { Empty, Frame, arrive } from "./web/parts.js";
import { link, place } from "./web/router.js";
import { Workflows } from "./workflows.js";

const PAGES = [
  { path: "overview", title: "Overview" },
  { path: "workflows", title: "Workflows" },
  { path: "definitions", title: "Definitions" },
];

let shownKey = "";

/** `face` is what the tab says behind the page. */
function Page({ face }) {
  const { parts, query } = place.value;
  const [page = "overview", first, second] = parts;
  const key = page === "workflows" ? `${page} ${first ?? ""}` : page;
  useEffect(() => {
    arrive(face, { first: shownKey === "" || shownKey === key });
    shownKey = key;
  }, [key, face]);
  if (page === "overview") return html`<${Overview} />`;
  if (page === "workflows" && first) {
    return html`<${Execution} key=${first} workflowId=${first} selected=${second === "task" ? parts[3] : ""} />`;
  }
  if (page === "workflows") return html`<${Workflows} query=${query} />`;
  if (page === "definitions") return html`<${Definitions} name=${first} version=${second} />`;
  return html`<h1>There is no such page</h1><${Empty} title="Nothing stands under this address">
    <a href=${link([])}>Go to the overview</a><//>`;
}

function Console() {
  const sync = useResource(getSync, "name");
  const name = sync.data?.device ? `Device ${sync.data.device}` : "Device";
  return html`<${Frame} title=${name} pages=${PAGES} aside=${html`<${Logout} />`}><${Page} face=${`${name} · Baton`} /><//>
    <${Login} />`;
}

holdFocus();
speakAs({ headers, ask });
// The stream goes with the cookie, which a tab that is opened anew may have to renew.
begin().finally(() => followStream("api/v1/stream", ["workflow"]));
start(html`<${Console} />`);
