// The console of Conductor's commercial server, which writes lines to the task's log.
// Nothing else of a browser's console is here.
(() => {
  "use strict";

  const MOST_LINES = 100;
  const MOST_CHARACTERS = 2000;

  const { stringify } = JSON;
  const { apply } = Reflect;
  const { defineProperty } = Object;
  const { join } = Array.prototype;
  const { slice, toWellFormed } = String.prototype;
  const text = String;
  const lines = [];

  function spoken(value) {
    try {
      return (typeof value === "object" ? stringify(value) : undefined) ?? text(value);
    } catch {
      return "something that cannot be shown";
    }
  }

  function write(level, values) {
    if (lines.length > MOST_LINES) return;
    if (lines.length === MOST_LINES) {
      lines[MOST_LINES] = "(further lines are left out)";
      return;
    }
    for (let i = 0; i < values.length; i++) values[i] = spoken(values[i]);
    let line = apply(join, values, [" "]);
    if (line.length > MOST_CHARACTERS) line = `${apply(slice, line, [0, MOST_CHARACTERS])}...`;
    // The cut may leave half a character behind, so halves are replaced after it.
    lines[lines.length] = `[${level}] "${apply(toWellFormed, line, [])}"`;
  }

  // Called with the global object, it gives it a console; called with nothing, it returns the lines.
  return (root) => {
    if (root === undefined) return stringify(lines);
    const console = {
      log: (...values) => write("Log", values),
      info: (...values) => write("Info", values),
      error: (...values) => write("Error", values),
    };
    defineProperty(root, "console", { value: console, writable: true, configurable: true });
  };
})();
