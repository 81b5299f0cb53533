// Calls of Java's on the lists and maps of the input: in Conductor these are Java's, and definitions
// call them so. Everything that JavaScript does with arrays and objects stays as it is.
(() => {
  "use strict";

  const { assign, create, defineProperty, getPrototypeOf, hasOwn, keys, setPrototypeOf, values } =
    Object;
  const { isArray } = Array;
  const plain = Object.prototype;

  function present(list, index) {
    if (!(index >= 0 && index < list.length))
      throw new RangeError(`Index ${index} out of bounds for length ${list.length}`);
    return index;
  }

  const lists = {
    get(index) {
      return this[present(this, index)];
    },
    set(index, item) {
      const old = this[present(this, index)];
      this[index] = item;
      return old;
    },
    size() {
      return this.length;
    },
    isEmpty() {
      return this.length === 0;
    },
    contains(item) {
      return this.includes(item);
    },
    add(...given) {
      if (given.length === 2) this.splice(given[0], 0, given[1]);
      else this.push(given[0]);
      return true;
    },
    addAll(items) {
      this.push(...items);
      return items.length > 0;
    },
    remove(index) {
      return this.splice(present(this, index), 1)[0];
    },
    subList(from, to) {
      return this.slice(from, to);
    },
  };

  function member(map, key, otherwise = null) {
    return hasOwn(map, key) ? map[key] : otherwise;
  }

  const maps = {
    get(key) {
      return member(this, key);
    },
    getOrDefault(key, otherwise) {
      return member(this, key, otherwise);
    },
    put(key, item) {
      const old = member(this, key);
      this[key] = item;
      return old;
    },
    putAll(items) {
      assign(this, items);
    },
    remove(key) {
      const old = member(this, key);
      delete this[key];
      return old;
    },
    size() {
      return keys(this).length;
    },
    isEmpty() {
      return keys(this).length === 0;
    },
    containsKey(key) {
      return hasOwn(this, key);
    },
    containsValue(item) {
      return values(this).includes(item);
    },
    keySet() {
      return keys(this);
    },
    values() {
      return values(this);
    },
    entrySet() {
      return keys(this).map((key) => {
        const value = this[key];
        return { key, value, getKey: () => key, getValue: () => value };
      });
    },
  };

  function teach(target, calls) {
    for (const name of keys(calls))
      defineProperty(target, name, { value: calls[name], writable: true, configurable: true });
    return target;
  }

  // Maps get a prototype of their own: on the prototype of all objects, "get" and "set" would be
  // taken for those of a property's description. A member of the same name hides the call.
  const mapPrototype = create(plain);

  function adopt(value) {
    if (typeof value !== "object" || value === null) return;
    if (isArray(value)) {
      for (let i = 0; i < value.length; i++) adopt(value[i]);
      return;
    }
    const names = keys(value);
    for (let i = 0; i < names.length; i++) adopt(value[names[i]]);
    if (getPrototypeOf(value) === plain) setPrototypeOf(value, mapPrototype);
  }

  return (root, input) => {
    teach(Array.prototype, lists);
    teach(mapPrototype, maps);
    adopt(input);
  };
})();
