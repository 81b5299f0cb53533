// How times, lengths, sizes and counts are written on the pages. Nothing here touches the document.

const COUNT = new Intl.NumberFormat("en-GB");

const pad = (number, width = 2) => String(number).padStart(width, "0");

/** Milliseconds since the epoch from what an API gives: a number, an ISO text, 0 or nothing. */
export function toMillis(value) {
  if (typeof value === "number") return value > 0 ? value : null;
  if (typeof value !== "string" || value === "") return null;
  const parsed = Date.parse(value);
  return Number.isNaN(parsed) ? null : parsed;
}

/** "2026-03-01 14:05:09" in the reader's own time zone; a dash when there is none. */
export function dateTime(value) {
  const millis = toMillis(value);
  if (millis === null) return "–";
  const at = new Date(millis);
  const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  return `${day} ${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

/** "14:05:09.402": within one execution the day is known and the milliseconds matter. */
export function clockTime(value) {
  const millis = toMillis(value);
  return millis === null ? "–" : `${dateTime(millis).slice(11)}.${pad(millis % 1000, 3)}`;
}

/** A length of time in at most two units: "840 ms", "12.4 s", "3 m 05 s", "2 h 10 m", "4 d 3 h". */
export function duration(millis) {
  if (millis === null || millis === undefined || Number.isNaN(millis)) return "–";
  const length = Math.max(0, Math.round(millis));
  if (length < 1000) return `${length} ms`;
  if (length < 59_950) return `${(length / 1000).toFixed(1)} s`;
  const seconds = Math.round(length / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${pad(seconds % 60)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} m`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

/** How long ago, coarsely, so that a list does not flicker: "just now", "12 s ago", "3 h ago". */
export function ago(value, nowMs) {
  const millis = toMillis(value);
  if (millis === null) return "never";
  const seconds = Math.floor((nowMs - millis) / 1000);
  // Two clocks never agree to the second; a little in the future is still "now".
  if (seconds < -90) return dateTime(millis);
  if (seconds < 2) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/** A count with thousands separated; a dash when it is not known. */
export function count(value) {
  return typeof value === "number" ? COUNT.format(value) : "–";
}

/** A size in bytes with a binary unit. */
export function bytes(value) {
  if (typeof value !== "number") return "–";
  if (value < 1024) return `${value} B`;
  if (value < 1024 * 1024) return `${(value / 1024).toFixed(1)} KiB`;
  return `${(value / 1024 / 1024).toFixed(1)} MiB`;
}

/**
 * The first two blocks of a UUID: enough to tell rows apart, the whole stands in the title. The first
 * one alone is the minute that it was made in, which rows that follow each other share.
 */
export function shortId(id) {
  return String(id ?? "").slice(0, 13);
}

/** "FAILED_WITH_TERMINAL_ERROR" as a person would write it. */
export function words(text) {
  const plain = String(text ?? "").replaceAll("_", " ").toLowerCase();
  return plain.charAt(0).toUpperCase() + plain.slice(1);
}
