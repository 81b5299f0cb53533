// The one door to the vendored libraries: every other file of the pages imports from here.
// No component and no request stands here.

import { h, render } from "./vendor/preact.mjs";
import { useEffect, useLayoutEffect, useRef, useState } from "./vendor/hooks.mjs";
import { signal } from "./vendor/signals.mjs";
import htm from "./vendor/htm.mjs";

// Values put into a template become text or attributes, never markup: data cannot inject HTML.
export const html = htm.bind(h);

/** Draw the whole page, in the place of the words that stood there while it loaded. */
export function start(page) {
  const place = document.getElementById("app");
  place.replaceChildren();
  render(page, place);
}

export { signal, useEffect, useLayoutEffect, useRef, useState };
