// What the tasks of an execution say of the steps of its definition: state, attempts, iterations.
// Nothing is drawn here.

import { everyStep } from "./diagram_layout.js";
import { words } from "./format.js";
import { textOf } from "./json_text.js";
import { toneOf } from "./status.js";

const ITERATION = /(__\d+)+$/;
const OPEN = new Set(["SCHEDULED", "IN_PROGRESS"]);

/**
 * Args: the tasks of a definition, and those of an execution; undefined = no execution is shown.
 *
 * Returns: `{shown, of(ref), leftFrom(ref), nameOf(ref), forkedBy(ref), chosen(ref)}`. `of` gives
 * `{tasks, last, status, attempts, iterations}` with an empty status where a step was not reached,
 * `leftFrom` whether what follows a step may have been reached from it, `nameOf` the step that a
 * task's reference stands for, `forkedBy` the steps that a dynamic fork made, null where it is not
 * known, `chosen` the label of the case that a switch took, null where nothing tells.
 */
export function statesOf(steps, tasks) {
  const known = new Map([...everyStep(steps)].map((step) => [step.taskReferenceName, step]));
  const byRef = new Map();
  // A loop puts the iteration behind a reference; one that its author named so is found as it is.
  const nameOf = (ref) => (known.has(ref) ? ref : ref.replace(ITERATION, ""));
  for (const task of [...(tasks ?? [])].sort((a, b) => a.seq - b.seq)) {
    const name = nameOf(task.referenceTaskName);
    if (!byRef.has(name)) byRef.set(name, []);
    byRef.get(name).push(task);
  }
  const of = (ref) => {
    const ours = byRef.get(ref) ?? [];
    const last = ours.at(-1);
    return {
      tasks: ours, last, status: last?.status ?? "",
      attempts: ours.filter((task) => task.referenceTaskName === last.referenceTaskName).length,
      iterations: iterationsOf(known.get(ref), ours),
    };
  };
  return { shown: tasks !== undefined, of, nameOf, forkedBy: (ref) => forkedBy(byRef, nameOf, ref),
    // A join that does not name a branch goes on without it, and a loop stays open around its body.
    leftFrom: (ref) => !OPEN.has(of(ref).status) || known.get(ref)?.type === "DO_WHILE",
    chosen: (ref) => chosenOf(known.get(ref), of(ref).last) };
}

function iterationsOf(step, tasks) {
  const counted = tasks.reduce((most, task) => Math.max(most, task.iteration ?? 0), 0);
  if (step?.type !== "DO_WHILE") return counted;
  const told = tasks.at(-1)?.outputData?.iteration;
  return Math.max(counted, typeof told === "number" ? told : 0);
}

function forkedBy(byRef, nameOf, ref) {
  const forked = byRef.get(ref)?.at(-1)?.inputData?.forkedTasks;
  if (!Array.isArray(forked)) return null;
  return forked.map((name) => {
    const plain = nameOf(textOf(name));
    const task = byRef.get(plain)?.at(-1);
    return { name: task?.taskDefName ?? plain, taskReferenceName: plain, type: task?.taskType ?? "SIMPLE" };
  });
}

function chosenOf(step, task) {
  if (!step || !task) return null;
  const said = task.outputData?.evaluationResult ?? task.outputData?.caseOutput;
  if (said === undefined || said === null) return null;
  const name = textOf(Array.isArray(said) ? said[0] : said);
  return name in (step.decisionCases ?? {}) ? name : "default";
}

const plural = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

/** What a task of a folded branch counts as: what needs a look comes first. */
export function rankOf(states, step) {
  return { bad: 0, warn: 1, busy: 2 }[toneOf(states.of(step.taskReferenceName).status)] ?? 3;
}

/** How often a step ran, in words; "" where once. */
export function timesOf(state) {
  return [state.iterations > 1 && plural(state.iterations, "iteration"),
    state.attempts > 1 && plural(state.attempts, "attempt")].filter(Boolean).join(", ");
}

/** What branches that are folded came to: "10 completed, 2 failed". */
export function foldedWords(states, hidden) {
  const counted = new Map();
  for (const step of hidden) {
    const status = states.of(step.taskReferenceName).status;
    const word = (status ? words(status) : "Not reached").toLowerCase();
    counted.set(word, (counted.get(word) ?? 0) + 1);
  }
  return [...counted].map(([word, number]) => `${number} ${word}`).join(", ");
}

/** A step in words, as a screen reader says it. */
export function labelOf(states, step, differs = "") {
  const ref = step.taskReferenceName;
  if (step.type === "ghost") return "Branches that are chosen when it runs";
  if (step.type === "fold") {
    return `${plural(step.hidden.length, "more branch").replace("branchs", "branches")}: ${
      states.shown ? foldedWords(states, step.hidden) : "not shown"}`;
  }
  const state = states.of(ref);
  return [ref, step.type, states.shown && (state.status ? words(state.status) : "Not reached"),
    timesOf(state), differs && `differs: ${differs}`].filter(Boolean).join(", ");
}
