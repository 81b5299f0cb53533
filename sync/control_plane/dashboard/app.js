// The fleet dashboard: which page stands under which address, and the frame around them.
// What a page shows stands in the file of that page, which is fetched when it is opened first.

import { getAlerts } from "./api.js";
import { ask, begin, headers, may, self } from "./session.js";
import { Reader, SignIn } from "./signin.js";
import { html, start, useEffect, useState } from "./web/dom.js";
import { followStream, speakAs, useResource } from "./web/live.js";
import { Empty, Frame, Trouble } from "./web/parts.js";
import { link, place } from "./web/router.js";

const MODULES = {
  overview: () => import("./overview.js"),
  devices: () => import("./devices.js"),
  device: () => import("./device.js"),
  executions: () => import("./executions.js"),
  execution: () => import("./execution.js"),
  compare: () => import("./compare.js"),
  groups: () => import("./groups.js"),
  group: () => import("./group.js"),
  orders: () => import("./orders.js"),
  order: () => import("./order.js"),
  order_new: () => import("./order_new.js"),
  campaigns: () => import("./campaigns.js"),
  campaign: () => import("./campaign.js"),
  wanted: () => import("./wanted.js"),
  wanted_item: () => import("./wanted_item.js"),
  push: () => import("./push.js"),
  alerts: () => import("./alerts.js"),
  alert_rules: () => import("./alert_rules.js"),
  alert_channels: () => import("./alert_channels.js"),
  access: () => import("./access.js"),
  audit: () => import("./audit.js"),
};

/** Pages in the order of the header, each with the area that a token needs for it. */
const PAGES = [
  { path: "overview", title: "Overview", area: "devices" },
  { path: "devices", title: "Devices", area: "devices" },
  { path: "groups", title: "Groups", area: "devices" },
  { path: "executions", title: "Executions", area: "executions", also: ["compare"] },
  { path: "orders", title: "Orders", area: "orders" },
  { path: "campaigns", title: "Campaigns", area: "orders" },
  { path: "wanted", title: "Definitions", area: "orders" },
  { path: "alerts", title: "Alerts", area: "alerts" },
  { path: "access", title: "Access", area: "access", role: "admin", also: ["audit"] },
];

/** The module that shows an address, what it is given, and what tells it from other pages. */
function routeOf({ parts, query }) {
  const [page, first, second, third, fourth] = parts;
  switch (page) {
    case "devices":
      return first ? ["device", { device: first, query }, first] : ["devices", { query }];
    case "executions":
      return second
        ? ["execution", { device: first, workflowId: second, selected: (third === "task" && fourth) || "", query },
          `${first} ${second}`]
        : ["executions", { query }];
    case "groups":
      return first ? ["group", { group: first, query }, first] : ["groups", { query }];
    case "orders":
      if (first === "new") return ["order_new", { query }];
      return first ? ["order", { order: first }, first] : ["orders", { query }];
    case "campaigns":
      return first ? ["campaign", { campaign: first, query }, first] : ["campaigns", { query }];
    case "wanted":
      if (first === "new" || third === "push") {
        return ["push", third ? { kind: first, name: second, query } : { query }, `${first} ${second}`];
      }
      return second ? ["wanted_item", { kind: first, name: second, query }, `${first} ${second}`]
        : ["wanted", { query }];
    case "alerts":
      if (first === "rules") return ["alert_rules", {}];
      return first === "channels" ? ["alert_channels", {}] : ["alerts", { query }];
    case "overview":
    case "compare":
    case "access":
    case "audit":
      return [page, { query }];
    default:
      return ["", {}];
  }
}

/** What is shown to who opens no page in particular: the first that is his to see. */
const firstPage = () => (PAGES.find((page) => may(page.area, page.role)) ?? PAGES[0]).path;

const loaded = new Map();

/** A page whose module is fetched when it is needed, and drawn once it is there. */
function Lazy({ module, props }) {
  const [, setState] = useState(0);
  const [error, setError] = useState(null);
  const fetchIt = () => {
    setError(null);
    MODULES[module]().then((found) => {
      loaded.set(module, found.Page);
      setState((times) => times + 1);
    }, () => setError(new Error("This page could not be fetched. Is the control plane reachable?")));
  };
  useEffect(() => {
    if (!loaded.has(module)) fetchIt();
  }, []);
  if (error) return html`<${Trouble} error=${error} again=${fetchIt} />`;
  if (!loaded.has(module)) return html`<p class="waiting" role="status">Loading…</p>`;
  return html`<${loaded.get(module)} ...${props} />`;
}

let shownKey = "";

/** Put the focus on the heading of a page that was gone to, once it is drawn. */
function focusHeading() {
  const main = document.getElementById("main");
  const take = () => {
    const heading = main.querySelector("h1");
    if (!heading) return false;
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
    document.title = `${heading.textContent} · Fleet · Baton`;
    return true;
  };
  scrollTo(0, 0);
  if (take()) return;
  const watch = new MutationObserver(() => take() && watch.disconnect());
  watch.observe(main, { childList: true, subtree: true });
  setTimeout(() => watch.disconnect(), 10_000);
}

function Page() {
  const { parts, query } = place.value;
  const here = parts.length ? parts : [firstPage()];
  const [module, props, name = ""] = routeOf({ parts: here, query });
  const key = `${module} ${name}`;
  useEffect(() => {
    if (shownKey && shownKey !== key) focusHeading();
    shownKey = key;
  }, [key]);
  if (!module) {
    return html`<h1>There is no such page</h1>
      <${Empty} title="Nothing stands under this address">
        <a href=${link([])}>Go to the overview</a><//>`;
  }
  return html`<${Lazy} key=${key} module=${module} props=${props} />`;
}

/** How many alerts are firing, beside the name of their page. */
function useBadge() {
  const seen = may("alerts");
  const found = useResource(
    (abort) => (seen ? getAlerts({ state: "firing", limit: 100 }, abort) : Promise.resolve(null)),
    `badge ${seen}`, { everyMs: 15_000 },
  );
  const firing = found.data?.alerts.length ?? 0;
  return firing > 0 ? `${firing}${found.data.next ? "+" : ""}` : null;
}

function Fleet() {
  const badge = useBadge();
  const pages = PAGES.filter((page) => may(page.area, page.role))
    .map((page) => (page.path === "alerts" ? { ...page, badge } : page));
  return html`<${Frame} title="Fleet" pages=${pages} aside=${html`<${Reader} />`}
    live=${may("devices")}><${Page} /><//>`;
}

function Everything() {
  const [problem, setProblem] = useState(null);
  const enter = () => {
    setProblem(null);
    begin().then(() => {
      if (!may("devices")) return;
      followStream("api/v1/stream", ["device", "execution"], { tenant: place.value.query.tenant });
    }, setProblem);
  };
  useEffect(enter, []);
  return html`${self.value ? html`<${Fleet} />` : html`<main id="main">
      ${problem
        ? html`<${Trouble} error=${problem} again=${enter} />`
        : html`<p class="waiting" role="status">Loading…</p>`}
    </main>`}
    <${SignIn} />`;
}

speakAs({ headers, ask });
start(html`<${Everything} />`);
