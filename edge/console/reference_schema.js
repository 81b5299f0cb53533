// What an operation takes and answers: parameters, and schemas as lists of fields that open.
// No request is made here.

import { html } from "./web/dom.js";

/** A schema behind its references, with the name of the last one. */
export function resolved(api, schema) {
  let name = "";
  let found = schema ?? {};
  while (found.$ref) {
    name = found.$ref.split("/").pop();
    found = { ...api.components.schemas[name], ...(found.description && { description: found.description }) };
  }
  return { name, schema: found };
}

/** A schema's type in a few words: `list of Task`, `map of integer`, `text or null`. */
export function kindOf(api, posted) {
  const { name, schema } = resolved(api, posted);
  if (name) return name;
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf) {
    return [...new Set(schema.anyOf.map((one) => kindOf(api, one)))].join(" or ");
  }
  if (schema.type === "array") return `list of ${kindOf(api, schema.items)}`;
  if (schema.type === "object" && schema.additionalProperties) {
    return `map of ${kindOf(api, schema.additionalProperties)}`;
  }
  return schema.type === "object" ? "map" : schema.type === "string" ? "text" : schema.type ?? "anything";
}

/** The shape whose fields are worth showing: the thing itself, or what a list or map holds. */
function shapeIn(api, posted) {
  const { schema } = resolved(api, posted);
  if (schema.properties) return resolved(api, posted);
  for (const inner of [schema.items, schema.additionalProperties, ...(schema.anyOf ?? [])]) {
    const found = inner && typeof inner === "object" ? shapeIn(api, inner) : null;
    if (found) return found;
  }
  return null;
}

/** A schema as its fields; those that have fields of their own open, each shape once in a branch. */
export function Schema({ api, schema, above = [] }) {
  const shape = shapeIn(api, schema);
  if (!shape) return html`<p class="soft small">${kindOf(api, schema)}</p>`;
  const required = shape.schema.required ?? [];
  return html`<ul class="fields">
    ${Object.entries(shape.schema.properties).map(([name, field]) => html`<li key=${name}>
      <span class="name">${name}</span><span class="kind">${kindOf(api, field)}</span>
      ${required.includes(name) && html`<span class="kind">always there</span>`}
      ${field.default !== undefined && field.default !== null
        && html`<span class="kind">default ${JSON.stringify(field.default)}</span>`}
      ${field.description && html`<p>${field.description}</p>`}
      <${Inside} api=${api} schema=${field} above=${[...above, shape.name]} />
    </li>`)}
  </ul>`;
}

function Inside({ api, schema, above }) {
  const shape = shapeIn(api, schema);
  if (!shape || above.includes(shape.name)) return null;
  return html`<details><summary class="small">${shape.name || "fields"}</summary>
    <${Schema} api=${api} schema=${schema} above=${above} /></details>`;
}

export function Parameters({ operation }) {
  if (!operation.parameters.length) return null;
  return html`<h2 class="part">Parameters</h2><ul class="fields">
    ${operation.parameters.map((one) => html`<li key=${`${one.in} ${one.name}`}>
      <span class="name">${one.name}</span>
      <span class="kind">${one.in} · ${one.schema.type === "array" ? "list" : one.schema.type}</span>
      ${one.required && html`<span class="must">required</span>`}
      ${one.schema.default !== undefined && html`<span class="kind">default ${String(one.schema.default)}</span>`}
      ${one.description && html`<p>${one.description}</p>`}
    </li>`)}
  </ul>`;
}

/** The first media type of a content map and its schema. */
export function firstContent(content) {
  const [type, inside] = Object.entries(content ?? {})[0] ?? ["", {}];
  return { type, schema: inside.schema, example: inside.example };
}

export function Body({ api, operation }) {
  if (!operation.requestBody) return null;
  const { type, schema } = firstContent(operation.requestBody.content);
  return html`<h2 class="part">Body <span class="soft">${type} · ${kindOf(api, schema)}</span></h2>
    <${Schema} api=${api} schema=${schema} />`;
}

export function Answers({ api, operation }) {
  return Object.entries(operation.responses).map(([status, answer]) => {
    const { type, schema } = firstContent(answer.content);
    const heading = status === "default" ? "Any other status" : status;
    return html`<details class="answer" key=${status} open=${status === "200"}>
      <summary>${heading} · ${answer.description}
        <span class="soft"> ${type ? `${type} · ${kindOf(api, schema)}` : "no body"}</span></summary>
      ${schema && html`<${Schema} api=${api} schema=${schema} />`}
    </details>`;
  });
}
