// Where the reader is: the part of the address behind the hash, as a path and a query.
// No page is named here.

import { signal } from "./dom.js";

function read() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return {
    parts: path.split("/").filter(Boolean).map(decodePart),
    query: Object.fromEntries(new URLSearchParams(query ?? "")),
  };
}

function decodePart(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** `{parts, query}` of the present address; changing the hash changes it. */
export const place = signal(read());
addEventListener("hashchange", () => {
  place.value = read();
});

const carried = new Set();

/** A name of the query that every address of these pages carries on, such as whose data is shown. */
export function carry(name) {
  carried.add(name);
}

/** The address of a page: `link(["workflows", id], {task})`. */
export function link(parts, query = {}) {
  const present = [...carried].map((name) => [name, place.value.query[name]]);
  const filled = Object.entries({ ...Object.fromEntries(present), ...query }).filter(([, value]) => value !== "" && value != null);
  const text = new URLSearchParams(filled).toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/** Go to a page; `replace` leaves no trace in the history, for filters typed letter by letter. */
export function go(parts, query = {}, { replace = false } = {}) {
  const target = link(parts, query);
  if (target === location.hash) return;
  if (replace) {
    history.replaceState(null, "", target);
    place.value = read();
  } else {
    location.hash = target;
  }
}
