// Where each step of a definition stands in its drawing, and which way its edges go.
// Plain numbers in pixels; no document and no execution is looked at here.

export const NODE_WIDTH = 204;
export const NODE_HEIGHT = 48;
const GAP_X = 26;
const GAP_Y = 36;
/** Above a branch, for the name of its case. */
const LABEL_HEIGHT = 18;
const BOX_PADDING = 16;
/** Left of a loop's body, for the way back. */
const BACK_WIDTH = 14;
const DOT_RADIUS = 8;
const MARGIN = 16;

/** More branches than this are not drawn side by side: some are, the others are one node. */
export const BRANCHES_AT_ONCE = 6;
/** A definition with more steps is told as a list alone; a drawing of it could not be read. */
export const STEPS_LIMIT = 2000;

const SWITCHES = new Set(["SWITCH", "DECISION"]);
const FORKS = new Set(["FORK_JOIN", "FORK"]);
const DYNAMIC_FORKS = new Set(["FORK_JOIN_DYNAMIC"]);

/**
 * The branches that go out of a step, or null when it has none: `[{label, steps}]`.
 *
 * Args:
 *   step: of a definition.
 *   forkedBy(ref): the steps that a dynamic fork has made, null while nobody knows them.
 */
export function branchesOf(step, forkedBy = () => null) {
  if (SWITCHES.has(step.type)) {
    const cases = Object.entries(step.decisionCases ?? {});
    return [...cases, ["default", step.defaultCase]]
      .map(([label, steps]) => ({ label, steps: steps ?? [] }));
  }
  if (FORKS.has(step.type)) {
    return (step.forkTasks ?? []).map((steps) => ({ label: "", steps }));
  }
  if (DYNAMIC_FORKS.has(step.type)) {
    const made = forkedBy(step.taskReferenceName);
    return made ? made.map((one) => ({ label: "", steps: [one] }))
      : [{ label: "", steps: [{ type: "ghost", taskReferenceName: `${step.taskReferenceName}…` }] }];
  }
  return null;
}

/** Every step, those inside of branches and loops too; `forkedBy` as in `branchesOf`. */
export function* everyStep(steps, forkedBy) {
  // Definitions nest as deep as their author likes, so this walks with a list of its own.
  const waiting = [...(steps ?? [])];
  while (waiting.length) {
    const step = waiting.pop();
    yield step;
    for (const branch of branchesOf(step, forkedBy) ?? []) waiting.push(...branch.steps);
    waiting.push(...(step.loopOver ?? []));
  }
}

/** The branches that are drawn, and one that stands for the others; `rank(step)` tells whom first. */
function fold(step, branches, { unfolded, rank }) {
  const ref = step.taskReferenceName;
  if (branches.length <= BRANCHES_AT_ONCE || unfolded.has(ref)) return branches;
  const first = branches.map((branch, index) => ({ index, rank: rank(branch.steps[0]) }))
    .sort((a, b) => a.rank - b.rank || a.index - b.index)
    .slice(0, BRANCHES_AT_ONCE - 1).map((one) => one.index);
  const kept = new Set(first);
  const hidden = branches.filter((_, index) => !kept.has(index));
  return [...branches.filter((_, index) => kept.has(index)), {
    label: "",
    steps: [{ type: "fold", taskReferenceName: `${ref}+`, of: ref, hidden: hidden.map((one) => one.steps[0]) }],
  }];
}

// A block is measured around its axis, on which its first step stands and its last one is left.

function measure(steps, how) {
  const parts = steps.map((step) => measureStep(step, how));
  return {
    parts,
    left: Math.max(0, ...parts.map((part) => part.left)),
    right: Math.max(0, ...parts.map((part) => part.right)),
    height: parts.reduce((sum, part) => sum + part.height, 0) + GAP_Y * Math.max(0, parts.length - 1),
  };
}

function measureStep(step, how) {
  const half = NODE_WIDTH / 2;
  if (step.type === "DO_WHILE") {
    const body = measure(step.loopOver ?? [], how);
    return {
      step, body,
      left: Math.max(half, body.left) + BOX_PADDING + BACK_WIDTH,
      right: Math.max(half, body.right) + BOX_PADDING,
      height: NODE_HEIGHT + 2 * GAP_Y + body.height + 2 * BOX_PADDING,
    };
  }
  const found = branchesOf(step, how.forkedBy);
  if (!found) return { step, left: half, right: half, height: NODE_HEIGHT };
  const branches = (SWITCHES.has(step.type) ? found : fold(step, found, how)).map(({ label, steps }) => {
    const block = measure(steps, how);
    // An empty branch is a line, which needs room for its name.
    const least = steps.length ? 0 : 44;
    return { label, ...block, left: Math.max(least, block.left), right: Math.max(least, block.right) };
  });
  const width = branches.reduce((sum, one) => sum + one.left + one.right, 0)
    + GAP_X * Math.max(0, branches.length - 1);
  const tallest = Math.max(0, ...branches.map((one) => one.height));
  return {
    step, branches, width,
    left: Math.max(half, width / 2), right: Math.max(half, width / 2),
    height: NODE_HEIGHT + GAP_Y + LABEL_HEIGHT + tallest,
  };
}

/** The same ways, led on to `(x, y)` from above. */
function leadTo(ways, x, y) {
  return ways.map((way) => {
    const [lastX] = way.points.at(-1);
    const turn = Math.abs(lastX - x) > 0.5 ? [[lastX, y - GAP_Y / 2], [x, y - GAP_Y / 2]] : [];
    return { ...way, points: [...way.points, ...turn, [x, y]] };
  });
}

/** What places blocks: nodes, edges and boxes gather here. */
class Sheet {
  constructor() {
    this.nodes = [];
    this.edges = [];
    this.boxes = [];
  }

  /** Lead all ways that are open to a node whose top stands at `(x, y)`. */
  finish(ways, to, x, y) {
    for (const way of leadTo(ways, x, y)) this.edges.push({ ...way, to });
  }

  node(step, x, y, ways) {
    const id = step.taskReferenceName;
    this.nodes.push({ id, step, x: x - NODE_WIDTH / 2, y, width: NODE_WIDTH, height: NODE_HEIGHT });
    this.finish(ways, id, x, y);
    return [{ from: id, label: "", points: [[x, y + NODE_HEIGHT]] }];
  }

  sequence(block, x, y, ways) {
    let top = y;
    let open = ways;
    for (const part of block.parts) {
      open = this.part(part, x, top, open);
      top += part.height + GAP_Y;
    }
    return open;
  }

  part(part, x, y, ways) {
    if (part.body) return this.loop(part, x, y, ways);
    const open = this.node(part.step, x, y, ways);
    if (part.branches) return this.fan(part, x, y);
    return part.step.type === "TERMINATE" ? [] : open;
  }

  fan(part, x, y) {
    const from = part.step.taskReferenceName;
    const turn = y + NODE_HEIGHT + GAP_Y / 2;
    const top = y + NODE_HEIGHT + GAP_Y + LABEL_HEIGHT;
    if (!part.branches.length) return [{ from, label: "", points: [[x, y + NODE_HEIGHT]] }];
    let edge = x - part.width / 2;
    return part.branches.flatMap((branch) => {
      const axis = edge + branch.left;
      edge = axis + branch.right + GAP_X;
      const way = { from, label: branch.label, labelAt: [axis, turn + LABEL_HEIGHT],
        points: [[x, y + NODE_HEIGHT], [x, turn], [axis, turn]] };
      return branch.parts.length ? this.sequence(branch, axis, top, [way])
        : [{ ...way, points: [...way.points, [axis, top]] }];
    });
  }

  loop(part, x, y, ways) {
    const id = part.step.taskReferenceName;
    const top = y + BOX_PADDING;
    const left = x - part.left;
    this.boxes.push({ id, x: left, y, width: part.left + part.right, height: part.height });
    const open = this.node(part.step, x, top, leadTo(ways, x, y));
    const inside = this.sequence(part.body, x, top + NODE_HEIGHT + GAP_Y, open);
    const low = top + NODE_HEIGHT + GAP_Y + part.body.height + GAP_Y / 2;
    const back = left + BACK_WIDTH;
    for (const way of inside) {
      const [lastX] = way.points.at(-1);
      this.edges.push({ ...way, to: id, back: true, points: [...way.points, [lastX, low], [back, low],
        [back, top + NODE_HEIGHT / 2], [x - NODE_WIDTH / 2, top + NODE_HEIGHT / 2]] });
    }
    return [{ from: id, label: "", points: [[x, y + part.height]] }];
  }
}

/**
 * The drawing of a definition.
 *
 * Args:
 *   steps: its tasks.
 *   forkedBy(ref): see `branchesOf`.
 *   unfolded: references of forks of which all branches are drawn.
 *   rank(step): a branch that begins with the least is drawn first where some are folded.
 *
 * Returns: `{nodes, edges, boxes, dots, width, height}`; all places in pixels from the upper left.
 * An edge is `{from, to, label, labelAt, points, back}`, where from and to are references or
 * "start" and "end", and `back` leads from a loop's body to its head.
 */
export function layoutOf(steps, { forkedBy = () => null, unfolded = new Set(), rank = () => 0 } = {}) {
  const block = measure(steps ?? [], { forkedBy, unfolded, rank });
  const half = Math.max(block.left, DOT_RADIUS);
  const x = MARGIN + half;
  const sheet = new Sheet();
  const begin = MARGIN + DOT_RADIUS;
  const first = begin + DOT_RADIUS + GAP_Y;
  const start = { from: "start", label: "", points: [[x, begin + DOT_RADIUS]] };
  const open = sheet.sequence(block, x, first, [start]);
  const last = first + block.height + GAP_Y;
  sheet.finish(open, "end", x, last);
  const dots = [{ id: "start", x, y: begin, radius: DOT_RADIUS }];
  if (open.length) dots.push({ id: "end", x, y: last + DOT_RADIUS, radius: DOT_RADIUS });
  return {
    nodes: sheet.nodes, edges: sheet.edges, boxes: sheet.boxes, dots, axis: x,
    width: x + Math.max(block.right, DOT_RADIUS) + MARGIN,
    height: (open.length ? last + 2 * DOT_RADIUS : first + block.height) + MARGIN,
  };
}

const KEYS = { ArrowDown: [0, 1], ArrowUp: [0, -1], ArrowRight: [1, 0], ArrowLeft: [-1, 0] };

/**
 * The node that a key leads to from another, its id; null when there is none that way.
 * Up and down go along edges, left and right to what stands beside.
 */
export function neighbourOf(layout, id, key) {
  if (key === "Home") return layout.nodes[0]?.id ?? null;
  if (key === "End") return layout.nodes.at(-1)?.id ?? null;
  const here = layout.nodes.find((node) => node.id === id);
  if (!here || !(key in KEYS)) return null;
  const [right, down] = KEYS[key];
  const onWay = down === 0 ? null : new Set(alongEdges(layout, id, down));
  const others = layout.nodes.filter((node) => node !== here && (onWay
    ? onWay.has(node.id)
    // What overlaps it in height stands beside it.
    : (node.x - here.x) * right > 1 && Math.abs(node.y - here.y) < NODE_HEIGHT));
  const far = (node) => Math.abs(node.x - here.x) + Math.abs(node.y - here.y);
  return others.sort((a, b) => far(a) - far(b))[0]?.id ?? null;
}

function alongEdges(layout, id, down) {
  if (down < 0) return layout.edges.filter((edge) => edge.to === id && !edge.back).map((edge) => edge.from);
  const out = layout.edges.filter((edge) => edge.from === id);
  const onward = out.filter((edge) => !edge.back).map((edge) => edge.to);
  // At the end of a loop's body the way leads on behind the loop.
  return onward.length ? onward : out.flatMap((edge) => behindLoop(layout, edge.to));
}

function behindLoop(layout, loop) {
  const box = layout.boxes.find((one) => one.id === loop);
  return layout.edges.filter((edge) => edge.from === loop && !edge.back
    && edge.points[0][1] >= box.y + box.height).map((edge) => edge.to);
}
