// The fleet dashboard: which page stands under which address, and the frame around them.
// What a page shows stands in the file of that page, which is fetched when it is opened first.

import { getAlerts } from "./api.js";
import { ask, begin, headers, may, self } from "./session.js";
import { Reader, SignIn } from "./signin.js";
import { html, start, useEffect, useState } from "./web/dom.js";
import { holdFocus } from "./web/focus.js";
import { followStream, speakAs, useResource } from "./web/live.js";
import { Empty, Frame, Trouble, Waiting, arrive } from "./web/parts.js";
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
  { path: "audit", title: "Audit", area: "audit", role: "admin", below: "access" },
];

/** What a page takes beyond what the one above it in the header does: area and role. */
const NEEDS = {
  order_new: ["orders", "operator"],
  push: ["orders", "operator"],
  alert_channels: ["alerts", "admin"],
};
const ALSO = { compare: "executions" };

/** Pages that the reader has in his header; one below another only where he lacks that one. */
function pagesOf() {
  const seen = PAGES.filter((page) => may(page.area, page.role));
  return seen.filter((page) => !seen.some((other) => other.path === page.below));
}

/** The area and the role that an address needs. */
function needOf(module, path) {
  const page = PAGES.find((one) => one.path === (ALSO[path] ?? path));
  return NEEDS[module] ?? [page.area, page.role ?? "viewer"];
}

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
const firstPage = () => (pagesOf()[0] ?? PAGES[0]).path;

const loaded = new Map();

async function load(module) {
  if (loaded.has(module)) return module;
  try {
    loaded.set(module, (await MODULES[module]()).Page);
  } catch {
    throw new Error("This page could not be fetched. Is the control plane reachable?");
  }
  return module;
}

/**
 * A page whose module is fetched when it is needed, and drawn once it is there. It is kept as data
 * are: one that could not be fetched is asked for again when the control plane is back.
 */
function Lazy({ module, props }) {
  const fetched = useResource(() => load(module), module);
  const Shown = loaded.get(module);
  return Shown ? html`<${Shown} ...${props} />`
    : html`<${Waiting} resource=${fetched}>${() => null}<//>`;
}

let shownKey = "";

function Page() {
  const { parts, query } = place.value;
  const here = parts.length ? parts : [firstPage()];
  const [module, props, name = ""] = routeOf({ parts: here, query });
  const key = `${module} ${name}`;
  useEffect(() => {
    if (shownKey !== key) arrive("Fleet · Baton", { first: shownKey === "" });
    shownKey = key;
  }, [key]);
  if (!module) {
    return html`<h1>There is no such page</h1>
      <${Empty} title="Nothing stands under this address">
        <a href=${link([])}>Go to the overview</a><//>`;
  }
  const [area, role] = needOf(module, here[0]);
  if (!may(area, role)) return html`<${NotForThis} area=${area} role=${role} />`;
  return html`<${Lazy} key=${key} module=${module} props=${props} />`;
}

/** What stands in the place of a page that the reader's token does not show. */
function NotForThis({ area, role }) {
  const first = pagesOf()[0];
  return html`<h1>Not for this token</h1>
    <div class="panel"><${Empty} title=${`This page needs the role ${role} in the area ${area}`}>${first
      ? html`<a href=${link([first.path])}>${first.title}</a> can be looked at.`
      : html`No page is there for what this token may do; the API takes it.`}<//></div>`;
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
  const pages = pagesOf()
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

holdFocus();
speakAs({ headers, ask });
start(html`<${Everything} />`);
