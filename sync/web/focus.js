// Who works by the keyboard does not begin at the top again when the button that he pressed is gone.
// Where the focus goes on a new page is said by `arrive`.

const CONTROLS = "button, a[href], input, select, textarea, summary, [tabindex='0']";

let held = null;

const isUsable = (one) => one.isConnected && !one.disabled && one.checkVisibility();

/** What is around an element, the nearest first, up to the part of the page that it stands in. */
function around(one) {
  const found = [];
  for (let at = one.parentElement; at && at.id !== "app"; at = at.parentElement) found.push(at);
  return found;
}

/** The first control in what is left of what stood around; the heading where nothing is. */
function nearest(places) {
  for (const place of places.filter((one) => one.isConnected)) {
    const control = [...place.querySelectorAll(CONTROLS)].find(isUsable);
    if (control) return control;
  }
  return document.querySelector("main h1[tabindex]");
}

const isLost = () => held && document.activeElement === document.body;

function put() {
  if (!isLost()) return;
  const { one, places } = held;
  // What is switched off while something is under way comes back, or goes.
  if (one.isConnected && one.disabled) return;
  (isUsable(one) ? one : nearest(places))?.focus({ preventScroll: true });
}

/** Give the focus to what is nearest whenever what had it is taken away or switched off. */
export function holdFocus() {
  let waits = false;
  document.addEventListener("focusin", ({ target }) => { held = { one: target, places: around(target) }; });
  // Who clicks beside it lets go of it.
  document.addEventListener("pointerdown", () => { held = null; }, { capture: true });
  new MutationObserver(() => {
    if (waits || !isLost()) return;
    waits = true;
    // What takes its place is drawn meanwhile, and a new page gives the focus to its heading.
    setTimeout(() => {
      waits = false;
      put();
    }, 50);
  }).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["disabled"] });
}
