// Who the reader is, on a device that asks: the token of this tab, and the way to one.
// Nothing is drawn here. The secret is sent once and kept nowhere; the token ends with the tab.

import { signal } from "./web/dom.js";

const KEPT_AS = "baton-token";
const COOKIE = "baton-view";
const LOOK_AGAIN_MS = 30 * 60 * 1000;
const COOKIE_S = 3600;

/** Whether the device has refused for want of a token; the login box shows while it is true. */
export const wanted = signal(false);
/** Whether this tab has a token. */
export const known = signal(Boolean(sessionStorage.getItem(KEPT_AS)));

/** Where the device answers, from the page that asks: "" or "../". */
let root = "";
let waiting = [];

/** The headers that every request needs. */
export function headers() {
  const token = sessionStorage.getItem(KEPT_AS);
  return token ? { "X-Authorization": token } : {};
}

/** A request was refused: resolves when the reader has logged in. */
export function ask() {
  sessionStorage.removeItem(KEPT_AS);
  known.value = false;
  wanted.value = true;
  return new Promise((resolve) => { waiting.push(resolve); });
}

/** Get a token for a key; the message of the error is for the reader. */
export async function login(keyId, keySecret) {
  let answer;
  try {
    answer = await fetch(`${root}api/token`, {
      method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ keyId, keySecret }),
    });
  } catch {
    throw new Error("No answer. Check that the daemon is running and reachable.");
  }
  const given = await answer.json();
  if (!answer.ok) throw new Error(given.message);
  sessionStorage.setItem(KEPT_AS, given.token);
  known.value = true;
  await mayLook();
  wanted.value = false;
  for (const resolve of waiting.splice(0)) resolve();
}

/** Forget the token, and all that is on the screen with it. */
export function logout() {
  sessionStorage.removeItem(KEPT_AS);
  keepCookie("", 0);
  location.reload();
}

/**
 * What a page embeds cannot send a header: pictures, clips and the stream go with a cookie that
 * holds a token for looking, and for nothing else.
 */
async function mayLook() {
  if (!known.value) return;
  const answer = await fetch(`${root}api/v1/view-token`, { method: "POST", headers: headers() });
  if (answer.ok) keepCookie((await answer.json()).token, COOKIE_S);
}

function keepCookie(value, seconds) {
  const path = new URL(`${root}api/v1`, location.href).pathname;
  document.cookie = `${COOKIE}=${value}; path=${path}; max-age=${seconds}; SameSite=Strict`;
}

/** Call it once: `place` is the way from this page to the device's root. */
export function begin(place = "") {
  root = place;
  setInterval(mayLook, LOOK_AGAIN_MS);
  return mayLook();
}
