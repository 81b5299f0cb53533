// A definition drawn as a graph, and how far an execution of it has come; the same as a list.
// No request stands here. Fetched when a page shows a diagram: see lazy_diagram.js.

import { STEPS_LIMIT, branchesOf, everyStep, layoutOf, neighbourOf } from "./diagram_layout.js";
import { foldedWords, labelOf, rankOf, statesOf, timesOf } from "./diagram_states.js";
import { html, useEffect, useRef, useState } from "./dom.js";
import { words } from "./format.js";
import { JsonView } from "./json_view.js";
import { fitted, useWidth } from "./parts.js";
import { Shape, Status, toneOf } from "./status.js";

const ZOOMS = [0.4, 0.55, 0.75, 1, 1.35, 1.8];
/** A drawing is made this small by itself, not smaller: its words would not be read. */
const LEAST_FIT = 0.7;
const CASE_PX = 150;
const MARK_CHARACTERS = 26;

/**
 * Args:
 *   definition: of a workflow.
 *   tasks: those of an execution of it; left out where only the definition is shown.
 *   selected, onSelect(taskId): the chosen task; a step without one shows its definition.
 *   linkOf(workflowId): the address of another execution, for steps that start one.
 *   differing: what differs in another run: a Map of the references of tasks and words.
 */
export function Diagram({ definition, tasks, selected, onSelect, linkOf, differing }) {
  const [box, width] = useWidth();
  const [unfolded, setUnfolded] = useState(new Set());
  const [zoom, setZoom] = useState(0);
  const [step, setStep] = useState(null);
  const steps = definition.tasks ?? [];
  const states = statesOf(steps, tasks);
  const counted = [...everyStep(steps, states.forkedBy)].length;
  const open = (node) => {
    if (node.type === "fold") return setUnfolded(new Set([...unfolded, node.of]));
    const last = states.of(node.taskReferenceName).last;
    if (last && onSelect) onSelect(last.taskId);
    return setStep(last && onSelect || node.type === "ghost" ? null : node);
  };
  const marked = new Map([...(differing ?? [])].map(([ref, said]) => [states.nameOf(ref), said]));
  const shared = { states, differing: marked, linkOf };
  if (counted > STEPS_LIMIT) {
    return html`<div class="diagram" ref=${box}><p class="soft">${counted} steps are too many to draw.</p>
      <${AsList} steps=${steps} ...${shared} /></div>`;
  }
  const layout = layoutOf(steps, { forkedBy: states.forkedBy, unfolded, rank: (one) => rankOf(states, one) });
  const fit = width ? Math.min(1, Math.max(LEAST_FIT, width / layout.width)) : 1;
  return html`<div class="diagram" ref=${box}>
    <${Tools} scale=${zoom || fit} setZoom=${setZoom} fitted=${zoom === 0} folds=${unfolded.size > 0}
      onFold=${() => setUnfolded(new Set())} />
    ${width > 0 && html`<${Drawing} key=${definition.name} ...${shared} layout=${layout} scale=${zoom || fit}
      name=${definition.name} selected=${selected} chosen=${step} open=${open} />`}
    ${step && html`<${StepBox} step=${step} shown=${states.shown} reached=${states.of(step.taskReferenceName).last}
      close=${() => setStep(null)} />`}
    <${AsList} steps=${steps} ...${shared} />
  </div>`;
}

function Tools({ scale, setZoom, fitted, folds, onFold }) {
  const smaller = ZOOMS.findLast((zoom) => zoom < scale - 0.01);
  const larger = ZOOMS.find((zoom) => zoom > scale + 0.01);
  return html`<div class="tools" role="group" aria-label="Size of the diagram">
    <button type="button" class="quiet" aria-label="Smaller" disabled=${!smaller} onClick=${() => setZoom(smaller)}>−</button>
    <span class="soft small" aria-live="polite">${Math.round(scale * 100)} %</span>
    <button type="button" class="quiet" aria-label="Larger" disabled=${!larger} onClick=${() => setZoom(larger)}>+</button>
    <button type="button" class="quiet" disabled=${fitted} onClick=${() => setZoom(0)}>Fit the width</button>
    ${folds && html`<button type="button" class="quiet" onClick=${onFold}>Fold the branches</button>`}
  </div>`;
}

function Drawing({ layout, states, differing, linkOf, scale, name, selected, chosen, open }) {
  const scroller = useRef(null);
  const [at, setAt] = useState("");
  const tabStop = layout.nodes.some((node) => node.id === at) ? at : layout.nodes[0]?.id;
  const current = layout.nodes.find((node) => selected
    && states.of(node.id).tasks.some((task) => task.taskId === selected))?.id ?? chosen?.taskReferenceName;
  useEffect(() => {
    // What is wider than its box begins where the first step stands.
    const view = scroller.current;
    view.scrollLeft = layout.axis * scale - view.clientWidth / 2;
  }, [scale]);
  useEffect(() => {
    if (current) setAt(current);
  }, [current]);
  const focus = (id) => {
    setAt(id);
    [...scroller.current.querySelectorAll(".step")].find((one) => one.dataset.ref === id)?.focus();
  };
  const onKey = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const next = neighbourOf(layout, tabStop, event.key);
    if (next !== null) focus(next);
    if (event.key === "Enter" || event.key === " ") {
      open(layout.nodes.find((node) => node.id === tabStop).step);
    } else if (next === null && !event.key.startsWith("Arrow")) {
      return;
    }
    event.preventDefault();
  };
  return html`<div class="sheet" ref=${scroller}>
    <svg width=${layout.width * scale} height=${layout.height * scale} role="group"
        viewBox=${`0 0 ${layout.width} ${layout.height}`} onKeyDown=${onKey}
        aria-label=${`Diagram of ${name}; arrow keys move along its edges, Enter shows a step`}>
      ${layout.boxes.map((one) => html`<rect key=${one.id} class="box" rx="10"
        x=${one.x} y=${one.y} width=${one.width} height=${one.height} />`)}
      ${inOrder(layout.edges, states).map(([edge, went], index) => html`<${Edge} key=${index} edge=${edge} went=${went} />`)}
      ${layout.dots.map((dot) => html`<circle key=${dot.id} class=${`dot ${dot.id}`} cx=${dot.x} cy=${dot.y}
        r=${dot.radius} aria-hidden="true" />`)}
      ${layout.nodes.map((node) => html`<${Node} key=${node.id} node=${node} states=${states} linkOf=${linkOf}
        differs=${differing.get(node.id)} tab=${node.id === tabStop ? 0 : -1} current=${node.id === current}
        open=${() => open(node.step)} onFocus=${() => setAt(node.id)} />`)}
    </svg>
  </div>`;
}

/** Edges, each with whether the execution went along it; those it went lie above the others. */
function inOrder(edges, states) {
  return edges.map((edge) => [edge, wentBy(edge, states)]).sort((a, b) => Number(a[1]) - Number(b[1]));
}

/** Whether an execution went along an edge. */
function wentBy(edge, states) {
  const reached = (id) => id === "start" || id === "end" || states.of(id).last !== undefined;
  if (!states.shown || !reached(edge.from) || !reached(edge.to)) return false;
  if (edge.back) return states.of(edge.to).iterations > 1;
  if (!states.leftFrom(edge.from)) return false;
  if (edge.label && states.chosen(edge.from) !== edge.label) return false;
  return edge.to !== "end" || toneOf(states.of(edge.from).status) !== "bad";
}

function Edge({ edge, went }) {
  const [x, y] = edge.points.at(-1);
  const tip = edge.back ? `M${x} ${y}l-8 -4.5v9z` : `M${x} ${y}l-4.5 -8h9z`;
  return html`<g class=${`edge ${went ? "went" : ""} ${edge.back ? "back" : ""}`} aria-hidden="true">
    <path class="line" d=${pathOf(edge.points)} /><path class="tip" d=${tip} />
    ${edge.label && html`<text x=${edge.labelAt[0] + 6} y=${edge.labelAt[1]}>${fitted(edge.label, CASE_PX, { size: 11.5, weight: 600 })}<title>${
      edge.label}</title></text>`}
  </g>`;
}

/** A way of right angles with its corners rounded. */
function pathOf(points) {
  const [first, ...rest] = points;
  let path = `M${first[0]} ${first[1]}`;
  rest.forEach(([x, y], index) => {
    const next = rest[index + 1];
    if (!next) {
      path += `L${x} ${y}`;
      return;
    }
    const before = points[index];
    const short = Math.min(8, Math.hypot(x - before[0], y - before[1]) / 2, Math.hypot(next[0] - x, next[1] - y) / 2);
    const toward = ([a, b]) => `${x + Math.sign(a - x) * short} ${y + Math.sign(b - y) * short}`;
    path += `L${toward(before)}Q${x} ${y} ${toward(next)}`;
  });
  return path;
}

const CUT = new Set(["SWITCH", "DECISION"]);
const BARS = new Set(["FORK_JOIN", "FORK", "FORK_JOIN_DYNAMIC", "JOIN", "EXCLUSIVE_JOIN"]);
const ROUND = new Set(["WAIT", "HUMAN", "EVENT", "TERMINATE"]);

/** The outline of a node: its form tells the kind, as the words in it do. */
function Outline({ node }) {
  const { x, y, width, height, step } = node;
  if (CUT.has(step.type)) {
    return html`<path class="outline" d=${`M${x + 14} ${y}H${x + width - 14}L${x + width} ${y + height / 2}L${
      x + width - 14} ${y + height}H${x + 14}L${x} ${y + height / 2}Z`} />`;
  }
  const corner = BARS.has(step.type) ? 0 : ROUND.has(step.type) ? height / 2 : 8;
  return html`<rect class="outline" x=${x} y=${y} width=${width} height=${height} rx=${corner} />
    ${step.type === "SUB_WORKFLOW" && html`<rect class="outline inner" x=${x + 4} y=${y + 4} width=${width - 8}
      height=${height - 8} rx="5" />`}
    ${BARS.has(step.type) && html`<path class="outline" d=${`M${x} ${y}V${y + height}M${x + 5} ${y}V${y + height}`} />`}`;
}

/** The execution that a step has started: its address, "" where there is none. */
function childOf(state, linkOf) {
  const id = state.last?.subWorkflowId || state.last?.outputData?.subWorkflowId;
  return id && linkOf ? linkOf(id) : "";
}

function wordsOf(states, step) {
  if (step.type === "fold") return [`${step.hidden.length} more`, states.shown ? foldedWords(states, step.hidden) : "Enter shows them"];
  if (step.type === "ghost") return ["Branches", "chosen when it runs"];
  const state = states.of(step.taskReferenceName);
  const said = state.status === "FAILED_WITH_TERMINAL_ERROR" ? "Failed for good" : words(state.status);
  return [step.taskReferenceName, [states.shown && (said || "Not reached"), step.type].filter(Boolean).join(" · ")];
}

function Node({ node, states, linkOf, differs, tab, current, open, onFocus }) {
  const { x, y, width, step } = node;
  const state = states.of(node.id);
  const [name, kind] = wordsOf(states, step);
  const real = step.type !== "fold" && step.type !== "ghost";
  const look = !states.shown || !real ? "" : state.last ? `tone-${toneOf(state.status)}` : "unreached";
  const child = childOf(state, linkOf);
  const left = state.last ? 40 : 20;
  const room = width - left - (child ? 34 : 14);
  return html`<g class=${`step ${look} ${real ? "" : step.type} ${current ? "current" : ""} ${differs ? "marked" : ""}`}
      role="button" tabindex=${tab} data-ref=${node.id} aria-pressed=${current ? "true" : "false"}
      aria-label=${labelOf(states, step, differs)} onClick=${open} onFocus=${onFocus}>
    <title>${labelOf(states, step, differs)}</title>
    <${Outline} node=${node} />
    ${state.last && html`<svg x=${x + 16} y=${y + 16} width="16" height="16"><${Shape} status=${state.status} /></svg>`}
    <text class="name" x=${x + left} y=${y + 21}>${fitted(name, room, { weight: 600 })}</text>
    <text class="kind" x=${x + left} y=${y + 37}>${fitted(kind, room, { size: 11.5 })}</text>
    <${Mark} text=${timesOf(state)} x=${x + width - 8} y=${y} end />
    ${differs && html`<${Mark} text=${`≠ ${differs}`} x=${x + 8} y=${y} />`}
    ${child && html`<a href=${child} tabindex="-1" aria-hidden="true" onClick=${(event) => event.stopPropagation()}>
      <rect class="hit" x=${x + width - 30} y=${y + 12} width="24" height="24" rx="4" />
      <path class="go" d=${`M${x + width - 22} ${y + 28}l8 -8m-6 0h6v6`} /></a>`}
  </g>`;
}

/** Words on the upper edge of a node. */
function Mark({ text, x, y, end = false }) {
  if (!text) return null;
  const short = text.length > MARK_CHARACTERS ? `${text.slice(0, MARK_CHARACTERS - 1)}…` : text;
  const wide = short.length * 6 + 12;
  const left = end ? x - wide : x;
  return html`<g class="badge-on"><rect x=${left} y=${y - 9} width=${wide} height="17" rx="8.5" />
    <text x=${left + wide / 2} y=${y + 3.5} text-anchor="middle">${short}</text></g>`;
}

/** What a definition says of a step that no task stands for. */
function StepBox({ step, shown, reached, close }) {
  return html`<section class="step-box" aria-label=${`Step ${step.taskReferenceName}`}>
    <header><h3>${step.taskReferenceName}</h3>
      ${shown && !reached && html`<span class="soft small">Not reached</span>`}
      <button type="button" class="quiet" aria-label="Close the step" onClick=${close}>×</button></header>
    <${JsonView} value=${step} label=${`Step ${step.taskReferenceName}`} />
  </section>`;
}

// The same in words and in order.

function AsList({ steps, ...shared }) {
  return html`<details class="as-list small"><summary>The same as a list</summary>
    <${Steps} steps=${steps} ...${shared} /></details>`;
}

function Steps({ steps, ...shared }) {
  return html`<ol>${steps.map((step) => html`<${Item} key=${step.taskReferenceName} step=${step} ...${shared} />`)}</ol>`;
}

function Item({ step, states, differing, linkOf }) {
  const shared = { states, differing, linkOf };
  const state = states.of(step.taskReferenceName);
  const child = childOf(state, linkOf);
  const differs = differing.get(step.taskReferenceName);
  if (step.type === "ghost") return html`<li>${labelOf(states, step)}</li>`;
  const more = [timesOf(state), states.chosen(step.taskReferenceName) && CUT.has(step.type)
    && `took ${states.chosen(step.taskReferenceName)}`, differs && `differs: ${differs}`].filter(Boolean).join(", ");
  const branches = branchesOf(step, states.forkedBy);
  return html`<li><span class="strong">${step.taskReferenceName}</span> <span class="soft">${step.type}</span>${" "}
    ${states.shown && (state.status ? html`<${Status} value=${state.status} />` : html`<span class="soft">Not reached</span>`)}
    ${more && ` ${more}`}${child && html` <a href=${child}>Execution it started</a>`}
    ${step.loopOver && html`<div class="soft">Again and again:</div><${Steps} steps=${step.loopOver} ...${shared} />`}
    ${branches && html`<ul>${branches.map(({ label, steps }, index) => html`<li key=${index}>
      <span class="soft">${label ? `Case ${label}` : `Branch ${index + 1}`}${steps.length ? "" : ": nothing"}</span>
      ${steps.length > 0 && html`<${Steps} steps=${steps} ...${shared} />`}</li>`)}</ul>`}
  </li>`;
}

