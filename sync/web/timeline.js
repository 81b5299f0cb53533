// The tasks of one execution over time, drawn as SVG: one row a reference, one bar an attempt.
// No request stands here; what a row means is told by the words in its label as well.

import { html, useEffect, useRef, useState } from "./dom.js";
import { dateTime, duration, toMillis, words } from "./format.js";
import { now } from "./live.js";
import { fitted, useWidth } from "./parts.js";
import { Shape, toneOf } from "./status.js";

const ROW_PX = 26;
const AXIS_PX = 26;
// More rows than this make the page slow and nobody reads them at once; the rest is one click away.
export const ROWS_AT_ONCE = 150;
export const ROWS_MORE = 500;
const NICE_STEPS_MS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1.5e4, 3e4, 6e4, 1.2e5, 3e5, 6e5, 9e5,
  1.8e6, 3.6e6, 7.2e6, 1.44e7, 2.16e7, 4.32e7, 8.64e7, 1.728e8, 6.048e8, 2.592e9, 3.1536e10,
];
const OPEN = new Set(["SCHEDULED", "IN_PROGRESS"]);

/** Rows in the order of their first attempt: `{ref, type, attempts: [task...]}`. */
export function timelineRows(tasks) {
  const rows = new Map();
  const inOrder = [...tasks].sort((a, b) => a.seq - b.seq || a.retryCount - b.retryCount);
  for (const task of inOrder) {
    const row = rows.get(task.referenceTaskName);
    if (row) row.attempts.push(task);
    else rows.set(task.referenceTaskName, {
      ref: task.referenceTaskName, type: task.taskType, attempts: [task],
    });
  }
  return [...rows.values()];
}

/** The instants of one attempt; an open one lasts until now. */
export function spanOf(task, nowMs) {
  const scheduled = toMillis(task.scheduledTime) ?? toMillis(task.startTime)
    ?? toMillis(task.updateTime) ?? nowMs;
  const started = toMillis(task.startTime);
  const ended = toMillis(task.endTime)
    ?? (OPEN.has(task.status) ? Math.max(nowMs, scheduled) : toMillis(task.updateTime) ?? scheduled);
  // A task that never started only waited; one that ended "before" it started met a clock change.
  const begin = Math.min(started ?? ended, Math.max(ended, scheduled));
  return { scheduled: Math.min(scheduled, begin), begin, ended: Math.max(ended, begin) };
}

/** Instants for the axis: at most `most` of them, at round distances from the start. */
export function axisTicks(lengthMs, most) {
  const step = NICE_STEPS_MS.find((candidate) => lengthMs / candidate <= most)
    ?? NICE_STEPS_MS.at(-1);
  const ticks = [];
  for (let at = 0; at <= lengthMs && ticks.length <= most; at += step) ticks.push(at);
  return ticks;
}

/** The accessible name of a row: all that the drawing says, in words. */
function rowLabel(row, span) {
  const last = row.attempts.at(-1);
  const times = row.attempts.length > 1 ? `, ${row.attempts.length} attempts` : "";
  return `${row.ref}, ${last.taskType}, ${words(last.status)}, ${duration(span.ended - span.begin)}`
    + `${times}, starts ${dateTime(span.begin)}`;
}

/**
 * The timeline. `selected` is a task id; `onSelect(taskId)` is called by mouse and keyboard.
 * The rows are one tab stop: arrow keys move, Enter or space selects.
 */
export function Timeline({ tasks, startMs, running, selected, onSelect }) {
  const [box, width] = useWidth();
  const [shown, setShown] = useState(ROWS_AT_ONCE);
  const all = timelineRows(tasks);
  const rows = all.slice(0, shown);
  const nowMs = running ? now.value : 0;
  return html`<div class="timeline" ref=${box}>
    ${width > 0 && html`<${Drawing} ...${{ rows, width, startMs, nowMs, selected, onSelect }} />`}
    ${all.length > rows.length && html`<button type="button" onClick=${() => setShown(shown + ROWS_MORE)}>
      Show ${Math.min(ROWS_MORE, all.length - rows.length)} more of ${all.length} rows
    </button>`}
  </div>`;
}

function scaleOf(rows, width, startMs, nowMs) {
  const spans = rows.map((row) => row.attempts.map((task) => spanOf(task, nowMs)));
  const flat = spans.flat();
  // A loop, not Math.min(...): ten thousand arguments overflow the stack.
  let from = flat.reduce((least, span) => Math.min(least, span.scheduled), Infinity);
  let to = flat.reduce((most, span) => Math.max(most, span.ended), 0);
  const start = toMillis(startMs);
  if (start !== null && start <= from) from = start;
  if (!Number.isFinite(from)) [from, to] = [0, 1];
  const narrow = width < 560;
  const labelPx = narrow ? 0 : Math.min(230, Math.max(130, width * 0.24));
  const rightPx = 62;
  const length = Math.max(1, to - from);
  const plot = Math.max(40, width - labelPx - rightPx);
  const x = (at) => labelPx + ((at - from) / length) * plot;
  return { spans, from, length, labelPx, plot, x, narrow };
}

function Drawing({ rows, width, startMs, nowMs, selected, onSelect }) {
  const scale = scaleOf(rows, width, startMs, nowMs);
  const rowPx = scale.narrow ? ROW_PX + 14 : ROW_PX;
  const height = AXIS_PX + rows.length * rowPx + 6;
  const list = useRef(null);
  const chosen = rows.findIndex((row) => row.attempts.some((task) => task.taskId === selected));
  const [focus, setFocus] = useState(0);
  const tabStop = Math.min(focus, rows.length - 1);
  useEffect(() => {
    if (chosen >= 0) setFocus(chosen);
  }, [chosen]);

  const move = (event) => {
    const steps = { ArrowDown: 1, ArrowUp: -1, Home: -rows.length, End: rows.length };
    if (event.key in steps) {
      event.preventDefault();
      const next = Math.max(0, Math.min(rows.length - 1, tabStop + steps[event.key]));
      setFocus(next);
      list.current.querySelectorAll(".row")[next]?.focus();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      onSelect(rows[tabStop].attempts.at(-1).taskId);
    }
  };

  return html`<svg width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`}
    role="group" aria-label="Timeline of tasks">
    <defs>
      <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse"
        patternTransform="rotate(45)"><rect width="2.5" height="6" class="hatch" /></pattern>
    </defs>
    <${Axis} scale=${scale} height=${height} />
    <g role="listbox" aria-label="Tasks; arrow keys move, Enter opens" ref=${list} onKeyDown=${move}>
      ${rows.map((row, index) => html`<${Row} key=${row.ref} row=${row} spans=${scale.spans[index]}
        scale=${scale} y=${AXIS_PX + index * rowPx} width=${width} rowPx=${rowPx}
        current=${index === chosen} tab=${index === tabStop ? 0 : -1}
        selected=${selected} onSelect=${onSelect} onFocus=${() => setFocus(index)} />`)}
    </g>
  </svg>`;
}

function Axis({ scale, height }) {
  const ticks = axisTicks(scale.length, Math.max(2, Math.floor(scale.plot / (scale.narrow ? 64 : 90))));
  return html`<g class="axis" aria-hidden="true">
    ${ticks.map((at) => {
      const x = scale.labelPx + (at / scale.length) * scale.plot;
      return html`<g key=${at}>
        <line x1=${x} x2=${x} y1=${AXIS_PX - 6} y2=${height} />
        <text x=${x} y=${AXIS_PX - 11}
          text-anchor=${at === 0 ? "start" : "middle"}>${at === 0 ? "0" : `+${tickText(at)}`}</text>
      </g>`;
    })}
  </g>`;
}

/** Ticks are round, so "10.0 s" would only add noise. */
function tickText(millis) {
  return duration(millis).replace(/\.0(?= )/, "").replace(/ 00 \w$/, "");
}

function Row({ row, spans, scale, y, width, rowPx, current, tab, selected, onSelect, onFocus }) {
  const last = row.attempts.at(-1);
  const span = spans.at(-1);
  const top = scale.narrow ? y + 18 : y + 6;
  const endX = scale.x(span.ended);
  return html`<g class=${`row ${current ? "current" : ""}`} role="option" tabindex=${tab}
    aria-selected=${current ? "true" : "false"} aria-label=${rowLabel(row, span)}
    onFocus=${onFocus} onClick=${() => onSelect(last.taskId)}>
    <rect class="back" x="0.5" y=${y + 0.5} width=${width - 1} height=${rowPx - 1} rx="4" />
    <svg x=${2} y=${scale.narrow ? y + 1 : y + 5} width="16" height="16">
      <${Shape} status=${last.status} /></svg>
    <text class="name" x="22" y=${scale.narrow ? y + 13 : y + 17}>
      ${fitted(row.ref, scale.narrow ? width - 30 : scale.labelPx - 30)}
      <title>${row.ref} · ${row.type}</title>
    </text>
    ${row.attempts.map((task, index) => html`<${Bar} key=${task.taskId} task=${task}
      span=${spans[index]} scale=${scale} top=${top} picked=${task.taskId === selected}
      onSelect=${onSelect} attempt=${index + 1} attempts=${row.attempts.length} />`)}
    <text class="length" x=${Math.min(endX + 6, width - 58)} y=${top + 11}>
      ${duration(span.ended - span.begin)}
    </text>
  </g>`;
}

function Bar({ task, span, scale, top, picked, onSelect, attempt, attempts }) {
  const from = scale.x(span.scheduled);
  const begin = scale.x(span.begin);
  // An instant task is still drawn: three pixels can be seen and hit.
  const long = Math.max(3, scale.x(span.ended) - begin);
  const tone = toneOf(task.status);
  const pick = (event) => {
    event.stopPropagation();
    onSelect(task.taskId);
  };
  return html`<g class=${`bar tone-${tone} ${picked ? "picked" : ""}`} onClick=${pick}>
    ${begin - from > 1 && html`<rect class="wait" x=${from} y=${top + 5} width=${begin - from}
      height="3" />`}
    <rect class="solid" x=${begin} y=${top} width=${long} height="13" rx="2.5" />
    ${(tone === "bad" || tone === "warn") && html`<rect x=${begin} y=${top} width=${long} height="13"
      rx="2.5" fill="url(#hatch)" />`}
    <title>${task.referenceTaskName}${attempts > 1 ? ` · attempt ${attempt} of ${attempts}` : ""}
${words(task.status)} · waited ${duration(span.begin - span.scheduled)} · ran ${
  duration(span.ended - span.begin)}</title>
  </g>`;
}
