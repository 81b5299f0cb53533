// Requests, the stream of changes, and the hook that keeps a component's data current.
// Nothing here draws.

import { signal, useEffect, useRef, useState } from "./dom.js";
import { readExactly } from "./json_text.js";

/** What a request that failed says: the server's own message, and the HTTP status (0 = no answer). */
export class Problem extends Error {
  constructor(status, message) {
    super(message);
    this.name = "Problem";
    this.status = status;
  }
}

/** Wall time by the server's clock, once a second: an edge box is rarely in step with the reader. */
export const now = signal(Date.now());
/** "live", "connecting" or "lost": what the stream of changes is doing. */
export const streamState = signal("connecting");

let clockOffsetMs = 0;
setInterval(() => {
  if (!document.hidden) now.value = Date.now() + clockOffsetMs;
}, 1000);

function noteServerClock(response) {
  const serverMs = Date.parse(response.headers.get("date") ?? "");
  // The Date header has whole seconds, so anything under two is not a difference.
  if (Number.isNaN(serverMs)) return;
  const offset = serverMs + 500 - Date.now();
  clockOffsetMs = Math.abs(offset) > 2000 ? offset : 0;
  // What just began is measured to this moment, not to the last tick.
  now.value = Date.now() + clockOffsetMs;
}

let session = { headers: () => ({}), ask: null };

/** Send what a session has with every request, and ask it once more when one is refused with 401. */
export function speakAs(given) {
  session = given;
}

// A link that swallows what is sent tells nobody: only the time that passes does.
const ANSWER_MS = 30_000;
const BODY_MS = 120_000;

/** What is said of a request that was given up. */
function silence(method, millis) {
  const doubt = method === "GET" ? "Check the link, then try again."
    : "Whether it was done is not known: look before it is tried again.";
  return new Problem(0, `No answer for ${millis / 1000} s. ${doubt}`);
}

async function request(method, path, body, abort, again = false) {
  const { response, text } = await exchange(method, path, body, abort);
  if (response.status === 401 && session.ask && !again) {
    await session.ask();
    return request(method, path, body, abort, true);
  }
  const parsed = parseBody(text, response.headers.get("content-type") ?? "");
  if (!response.ok) {
    const message = parsed?.message ?? (text.slice(0, 300) || response.statusText);
    throw new Problem(response.status, String(message));
  }
  return parsed;
}

/** One request and its answer, `{response, text}`, neither of which is waited for without end. */
async function exchange(method, path, body, abort) {
  const options = { method, headers: { Accept: "application/json, text/plain", ...session.headers() } };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const ending = new AbortController();
  const end = () => ending.abort();
  if (abort?.aborted) end();
  abort?.addEventListener("abort", end);
  let silent = null;
  const giveUpAfter = (millis) => setTimeout(() => {
    silent = silence(method, millis);
    end();
  }, millis);
  let timer = giveUpAfter(ANSWER_MS);
  try {
    const response = await fetch(path, { ...options, signal: ending.signal });
    clearTimeout(timer);
    timer = giveUpAfter(BODY_MS);
    noteServerClock(response);
    return { response, text: await response.text() };
  } catch (error) {
    if (silent) throw silent;
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "No answer. Check that the daemon is running and reachable.");
  } finally {
    clearTimeout(timer);
    abort?.removeEventListener("abort", end);
  }
}

function parseBody(text, type) {
  if (text === "") return null;
  if (!type.includes("json")) return text;
  try {
    return readExactly(text);
  } catch {
    throw new Problem(502, "The answer was cut short or is not JSON. Try again.");
  }
}

export const getJson = (path, abort) => request("GET", path, undefined, abort);
export const send = (method, path, body) => request(method, path, body);

/** A path with its query; empty values are left out, every value is escaped. */
export function withQuery(path, values) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

const listeners = new Set();
const RETRY_FIRST_MS = 1000;
const RETRY_CAP_MS = 15_000;
// The server says each 15 s that it is still there.
const SILENT_MS = 40_000;
const LISTEN_EVERY_MS = 5000;

/** Tell every component that shows something of this change; `null` = anything may have changed. */
export function announce(change) {
  for (const listener of [...listeners]) listener(change);
}

/**
 * Follow the server's stream for as long as the page is open.
 *
 * The browser resumes by itself and sends Last-Event-ID. When the server refuses for a while
 * (a restart behind a proxy), or is not heard any more (a link that has died without a word), a
 * new stream is opened and the id goes along as a query instead. Nor can it send a header: what
 * says whose changes are meant stands in `query`, too.
 */
export function followStream(path, names, query = {}) {
  let delayMs = RETRY_FIRST_MS;
  let lastId = "";
  let heardMs = Date.now();
  let source = null;
  const open = () => {
    source = new EventSource(withQuery(path, { ...query, lastEventId: lastId }));
    const mine = source;
    heardMs = Date.now();
    const heard = (event) => {
      heardMs = Date.now();
      if (event.lastEventId) lastId = event.lastEventId;
    };
    mine.onopen = () => {
      heardMs = Date.now();
      delayMs = RETRY_FIRST_MS;
      streamState.value = "live";
      // Hints may have been missed while away: everything on the screen is asked for again.
      announce(null);
    };
    mine.onerror = () => {
      streamState.value = "lost";
      if (mine.readyState !== EventSource.CLOSED) return;
      setTimeout(open, delayMs);
      delayMs = Math.min(delayMs * 2, RETRY_CAP_MS);
    };
    mine.addEventListener("still", heard);
    // A server that had to drop hints says so instead.
    mine.addEventListener("resync", () => announce(null));
    for (const name of names) {
      mine.addEventListener(name, (event) => {
        heard(event);
        announce({ name, ...JSON.parse(event.data) });
      });
    }
  };
  setInterval(() => {
    if (source.readyState === EventSource.CLOSED || Date.now() - heardMs < SILENT_MS) return;
    streamState.value = "lost";
    source.close();
    open();
  }, LISTEN_EVERY_MS);
  open();
}

const LEAST_PAUSE_MS = 400;

/**
 * Data for a component, kept current: `{data, error, reload}`.
 *
 * Args: `load(abort)` gives a promise; `key` names what is shown, a new key clears what was there;
 * `affects(change)` says whether a change from the stream calls for a reload; `everyMs` polls as
 * well, for figures the stream does not carry. At most one request at a time and one each `leastMs`:
 * a burst of a thousand changes costs two requests, not a thousand.
 */
export function useResource(load, key, { affects = () => false, everyMs = 0, leastMs = LEAST_PAUSE_MS } = {}) {
  const [state, setState] = useState({ key, data: null, error: null });
  const run = useRef(() => {});
  const latest = useRef({ load, affects });
  latest.current = { load, affects };

  useEffect(() => {
    const abort = new AbortController();
    let busy = false;
    let again = false;
    let timer = 0;
    const fetchNow = async () => {
      if (busy) {
        again = true;
        return;
      }
      busy = true;
      again = false;
      try {
        const data = await latest.current.load(abort.signal);
        if (!abort.signal.aborted) setState({ key, data, error: null });
      } catch (error) {
        if (abort.signal.aborted) return;
        // What is on the screen stays there: stale and marked is better than gone.
        setState((old) => ({ key, data: old.key === key ? old.data : null, error }));
      } finally {
        timer = setTimeout(() => {
          busy = false;
          if (again) fetchNow();
        }, leastMs);
      }
    };
    run.current = fetchNow;
    const listener = (change) => {
      if (change === null || latest.current.affects(change)) fetchNow();
    };
    listeners.add(listener);
    const poll = everyMs ? setInterval(() => document.hidden || fetchNow(), everyMs) : 0;
    fetchNow();
    return () => {
      abort.abort();
      listeners.delete(listener);
      clearTimeout(timer);
      clearInterval(poll);
    };
  }, [key, everyMs]);

  const current = state.key === key ? state : { data: null, error: null };
  return { data: current.data, error: current.error, reload: () => run.current() };
}
