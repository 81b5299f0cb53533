// How a script is run and how its value becomes JSON.
// No input and no output is here; the value of this text is the one function that is called from
// outside. It returns the value as JSON, or "!" and what went wrong.
//
// Everything that is used later is taken hold of now: a script may change what it finds, but it
// changes nothing for itself by that. The script's context ends with it.
((root) => {
  "use strict";

  const evaluate = eval; // Called by another name it evaluates in the global scope.
  const { parse, stringify } = JSON;
  const { defineProperty, fromEntries } = Object;
  const { isArray } = Array;
  const { isView } = ArrayBuffer;
  const { apply } = Reflect;
  const { join } = Array.prototype;
  const text = String;
  const double = Number;
  const errorText = Error.prototype.toString;
  const kinds = { Date, Error, Map, View: DataView };

  // A date has become text, or null, by the time that we see it; it is an object without members.
  function wasDate(value) {
    return value instanceof kinds.Date;
  }

  // Called for each member of a value: what is to be written in its place.
  function storable(name, shown) {
    switch (typeof shown) {
      case "string":
        return wasDate(this[name]) ? {} : shown;
      case "boolean":
        return shown;
      case "number":
        // JSON has no infinity; Conductor stores the name of what JSON cannot write.
        return shown - shown === 0 ? shown : text(shown);
      case "object":
        if (shown === null) return wasDate(this[name]) ? {} : null;
        if (isArray(shown)) return shown;
        if (shown instanceof kinds.Map) return fromEntries(shown);
        return isView(shown) && !(shown instanceof kinds.View) ? [...shown] : shown;
      case "bigint":
        return double(shown);
      case "undefined":
        return null;
      default:
        return {}; // Functions and symbols have no members.
    }
  }

  // What went wrong: the message, and the stack, from which the line is read.
  function fault(error) {
    let message, stack;
    try {
      // Where there is no memory left for an error, the engine throws this.
      if (error === null) message = "null: out of memory, unless the script has thrown it";
      const raised = error instanceof kinds.Error;
      if (raised) message = apply(errorText, error, []);
      else if (typeof error === "object" && error !== null) message = stringify(error);
      stack = raised ? text(error.stack) : "";
      // Joined, because the binding cannot read what the engine makes of two long texts and a "+".
      return apply(join, ["!", stringify([message ?? text(error), stack])], [""]);
    } catch {
      return '!["something that cannot be shown",""]';
    }
  }

  return (source, scope, ...extras) => {
    const input = parse(scope);
    for (const extra of extras) extra(root, input);
    defineProperty(root, "$", { value: input, writable: true, configurable: true });
    try {
      return stringify(evaluate(source), storable);
    } catch (error) {
      return fault(error);
    }
  };
})(globalThis);
