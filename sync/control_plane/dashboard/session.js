// Who the reader is, whose devices are shown, and what may be offered. Nothing is drawn here.
// The token itself lies in a cookie that no script can read.

import { signal } from "./web/dom.js";
import { getJson } from "./web/live.js";
import { carry, place } from "./web/router.js";

const ROLES = ["viewer", "operator", "admin"];

/** What the control plane says of the reader; null until it has. */
export const self = signal(null);
/** Whether a request was refused for want of a token; the box that asks for one shows meanwhile. */
export const asked = signal(false);
let waiting = [];

// An address that is passed on shows the same tenant to whoever opens it.
carry("tenant");

/** The headers that every request needs. */
export function headers() {
  const { tenant } = place.value.query;
  return tenant ? { "X-Baton-Tenant": tenant } : {};
}

/** A request was refused: resolves when the reader has signed in. */
export function ask() {
  asked.value = true;
  return new Promise((resolve) => { waiting.push(resolve); });
}

/** Learn who the reader is; asks him first where the control plane wants to know. */
export async function begin() {
  self.value = await getJson("api/v1/self");
}

/** Let a cookie carry a token; the message of the error is for the reader. */
export async function signIn(token) {
  let answer;
  try {
    answer = await fetch("api/v1/session", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }),
    });
  } catch {
    throw new Error("No answer. Check that the control plane is running and reachable.");
  }
  const given = await answer.json();
  if (!answer.ok) throw new Error(given.message);
  if (self.value && self.value.tokenId !== given.tokenId) {
    // Somebody else: nothing of what the one before saw may stay on the screen.
    location.reload();
    return;
  }
  self.value = given;
  asked.value = false;
  for (const resolve of waiting.splice(0)) resolve();
}

/** Forget the cookie, and all that is on the screen with it. */
export async function signOut() {
  await fetch("api/v1/session", { method: "DELETE" });
  location.reload();
}

/** Whether what needs this role in this area is the reader's to do: what is not is not offered. */
export function may(area, role = "viewer") {
  const me = self.value;
  return Boolean(me) && ROLES.indexOf(me.role) >= ROLES.indexOf(role)
    && (!me.areas.length || me.areas.includes(area));
}
