// The look of a status: a shape, a tone and a word, so that colour alone never carries it.
// Nothing here knows which pages exist.

import { html } from "./dom.js";
import { words } from "./format.js";

const LOOKS = {
  COMPLETED: ["good", "check"],
  COMPLETED_WITH_ERRORS: ["warn", "check"],
  RUNNING: ["busy", "play"],
  IN_PROGRESS: ["busy", "play"],
  SCHEDULED: ["idle", "ring"],
  PAUSED: ["warn", "bars"],
  FAILED: ["bad", "cross"],
  FAILED_WITH_TERMINAL_ERROR: ["bad", "cross"],
  TIMED_OUT: ["bad", "clock"],
  TERMINATED: ["idle", "square"],
  CANCELED: ["idle", "square"],
  SKIPPED: ["idle", "dash"],
  // Devices and cameras.
  online: ["good", "dot"],
  lagging: ["warn", "bars"],
  offline: ["idle", "ring"],
  never: ["idle", "dash"],
  connecting: ["warn", "ring"],
  lost: ["bad", "cross"],
  broken: ["bad", "cross"],
  // Orders, and what many of them come to.
  queued: ["idle", "ring"],
  sent: ["busy", "play"],
  received: ["busy", "bars"],
  done: ["good", "check"],
  failed: ["bad", "cross"],
  expired: ["warn", "clock"],
  superseded: ["idle", "dash"],
  running: ["busy", "play"],
  stopped: ["idle", "square"],
  finished: ["good", "check"],
  "in-step": ["good", "check"],
  drifted: ["bad", "cross"],
  // Alerts.
  firing: ["bad", "cross"],
  pending: ["warn", "clock"],
  resolved: ["good", "check"],
  // The uplink.
  waiting: ["warn", "bars"],
  greeting: ["warn", "ring"],
  syncing: ["busy", "play"],
  synced: ["good", "check"],
  halted: ["bad", "cross"],
  // A daemon's health, and the stream of a page.
  up: ["good", "check"],
  down: ["bad", "cross"],
  live: ["good", "dot"],
};

const SHAPES = {
  check: "M3.5 8.5 6.6 11.5 12.5 4.8",
  cross: "M4.5 4.5 11.5 11.5 M11.5 4.5 4.5 11.5",
  bars: "M6 4.5V11.5 M10 4.5V11.5",
  dash: "M4 8H12",
  clock: "M8 4.6V8.2L10.4 9.8",
};

/** The tone of a status: good, bad, warn, busy or idle. */
export function toneOf(status) {
  return (LOOKS[status] ?? ["idle", "ring"])[0];
}

/** The shape alone; the word must stand beside it or in a label. */
export function Shape({ status }) {
  const [tone, shape] = LOOKS[status] ?? ["idle", "ring"];
  return html`<svg class=${`shape tone-${tone}`} viewBox="0 0 16 16" aria-hidden="true">
    ${shape === "dot" && html`<circle cx="8" cy="8" r="5" class="fill" />`}
    ${shape === "play" && html`<path d="M5 3.6 12.4 8 5 12.4Z" class="fill" />`}
    ${shape === "square" && html`<rect x="3.8" y="3.8" width="8.4" height="8.4" rx="1.2" class="fill" />`}
    ${(shape === "ring" || shape === "clock") && html`<circle cx="8" cy="8" r="5.6" class="stroke" />`}
    ${SHAPES[shape] && html`<path d=${SHAPES[shape]} class="stroke" />`}
  </svg>`;
}

const WORDS = { never: "Never seen", "in-step": "In step" };

/** What a status is called. */
export const wordOf = (value) => WORDS[value] ?? words(value);

/** Shape and word. */
export function Status({ value, label }) {
  if (!value) return html`<span class="soft">–</span>`;
  return html`<span class=${`status tone-${toneOf(value)}`}>
    <${Shape} status=${value} />${label ?? wordOf(value)}
  </span>`;
}
