// JSON read so that no figure is lost: an id of 18 digits is more than a number of a browser holds.

const LONG = /[:[,\s]-?\d{16,}/;
const WHOLE = /^-?\d+$/;

/** A number whose digits the browser would change is kept as it was written, where it can do that. */
function exactly(_, value, context) {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  return WHOLE.test(context?.source ?? "") ? JSON.rawJSON(context.source) : value;
}

/** The value of a text; `JSON.stringify` writes it with the same digits. */
export function readExactly(text) {
  return LONG.test(text) && JSON.rawJSON ? JSON.parse(text, exactly) : JSON.parse(text);
}

/** A value as a text, whatever it is. */
export const textOf = (value) => digitsOf(value) ?? String(value);

/** The digits of a number that was kept as it was written; undefined for all other values. */
export const digitsOf = (value) => (JSON.isRawJSON?.(value) ? value.rawJSON : undefined);
