// Small graphs, drawn as SVG: bars by name, executions by hour, how far many orders have come.
// What a drawing says is said in words and numbers, too. No request stands here.

import { html } from "./web/dom.js";
import { count, dateTime } from "./web/format.js";
import { useWidth } from "./web/parts.js";
import { Shape, toneOf } from "./web/status.js";

const HOUR_MS = 3_600_000;
const HEIGHT = 150;
const FOOT = 20;
const LEFT = 44;

/** One bar a row: `{name, value, href, status, note}`; the longest fills the width. */
export function Bars({ label, rows, empty }) {
  if (!rows.length) return html`<p class="soft">${empty}</p>`;
  const most = Math.max(1, ...rows.map((row) => row.value));
  return html`<ul class="bars" aria-label=${label}>
    ${rows.map((row) => html`<li key=${row.name}>
      <span class="name">${row.status && html`<${Shape} status=${row.status} />`}
        ${row.href ? html`<a href=${row.href}>${row.name}</a>` : row.name}</span>
      <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"
        class=${`tone-${toneOf(row.status ?? "RUNNING")}`}>
        <rect class="track" width="100" height="10" rx="1" />
        <rect class="fill" width=${(100 * row.value) / most} height="10" rx="1" />
        ${row.part > 0 && html`<rect class="fill tone-bad" width=${(100 * row.part) / most} height="10" rx="1" />`}
      </svg>
      <span class="num">${count(row.value)}${row.note && html` <span class="soft">${row.note}</span>`}</span>
    </li>`)}
  </ul>`;
}

/** Every hour of a span, also those in which nothing happened. */
function everyHour(hours, nowMs, span) {
  const known = new Map(hours.map((one) => [one.hour, one]));
  const last = nowMs - (nowMs % HOUR_MS);
  return Array.from({ length: span }, (_, index) => {
    const hour = last - (span - 1 - index) * HOUR_MS;
    return known.get(hour) ?? { hour, executions: 0, failures: 0 };
  });
}

/** A round number at or above another, so that an axis ends on something that can be read. */
function roundUp(value) {
  const size = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return [1, 2, 5, 10].map((step) => step * size).find((step) => step >= value);
}

const short = (value) => (value >= 10_000 ? `${Math.round(value / 1000)}k` : count(value));

/** Executions by the hour that they began in, and how many of them failed. */
export function HourGraph({ hours, nowMs, span = 24 }) {
  const [box, width] = useWidth();
  const shown = everyHour(hours, nowMs, span);
  const total = shown.reduce((sum, one) => sum + one.executions, 0);
  const failed = shown.reduce((sum, one) => sum + one.failures, 0);
  return html`<div ref=${box} class="graph">
    ${width > 0 && html`<${HourDrawing} shown=${shown} width=${width}
      label=${`${count(total)} executions in ${span} hours, ${count(failed)} of them failed`} />`}
    <p class="legend soft small"><span class="tone-busy"><i class="swatch" /></span>executions
      <span class="tone-bad"><i class="swatch hatched" /></span>of them failed</p>
    <details class="small"><summary>The same as a table</summary>
      <table><caption class="unseen">Executions by hour</caption>
        <thead><tr><th scope="col">Hour</th><th scope="col" class="num">Executions</th>
          <th scope="col" class="num">Failed</th></tr></thead>
        <tbody>${shown.filter((one) => one.executions).map((one) => html`<tr key=${one.hour}>
          <td>${dateTime(one.hour).slice(0, 16)}</td><td class="num">${count(one.executions)}</td>
          <td class="num">${count(one.failures)}</td></tr>`)}</tbody></table>
    </details>
  </div>`;
}

function HourDrawing({ shown, width, label }) {
  const most = roundUp(Math.max(1, ...shown.map((one) => one.executions)));
  const step = (width - LEFT) / shown.length;
  const y = (value) => HEIGHT - (HEIGHT - 10) * (value / most);
  const every = step * 6 < 60 ? 12 : 6;
  return html`<svg width=${width} height=${HEIGHT + FOOT} role="img" aria-label=${label} class="hours">
    <defs><pattern id="failed" width="6" height="6" patternUnits="userSpaceOnUse"
      patternTransform="rotate(45)"><rect width="2.5" height="6" class="hatch" /></pattern></defs>
    ${[0, most / 2, most].filter(Number.isInteger).map((value) => html`<g key=${value} class="axis">
      <line x1=${LEFT} x2=${width} y1=${y(value)} y2=${y(value)} />
      <text x=${LEFT - 6} y=${y(value) + 4} text-anchor="end">${short(value)}</text></g>`)}
    ${shown.map((one, index) => {
      const x = LEFT + index * step + 1;
      const wide = Math.max(1, step - 2);
      const hour = new Date(one.hour).getHours();
      return html`<g key=${one.hour}>
        <g class="tone-busy"><rect class="fill" x=${x} width=${wide} y=${y(one.executions)}
          height=${HEIGHT - y(one.executions)} /></g>
        ${one.failures > 0 && html`<g class="tone-bad"><rect class="fill" x=${x} width=${wide}
          y=${y(one.failures)} height=${HEIGHT - y(one.failures)} />
          <rect fill="url(#failed)" x=${x} width=${wide} y=${y(one.failures)}
          height=${HEIGHT - y(one.failures)} /></g>`}
        <rect class="over" x=${x - 1} width=${step} y="0" height=${HEIGHT}><title>${
          dateTime(one.hour).slice(0, 16)}: ${count(one.executions)} executions, ${
          count(one.failures)} failed</title></rect>
        ${hour % every === 0 && html`<g class="axis"><text x=${x + wide / 2} y=${HEIGHT + 15}
          text-anchor="middle">${String(hour).padStart(2, "0")}:00</text></g>`}
      </g>`;
    })}
  </svg>`;
}

/** The states that a campaign counts, in the order in which an order goes through them. */
export const PROGRESS = ["done", "failed", "expired", "superseded", "sent", "queued", "waiting"];

/** How far the orders of a campaign have come; `href(state)` leads to those in one state. */
export function Progress({ progress, href, label = "Progress" }) {
  const total = PROGRESS.reduce((sum, state) => sum + progress[state], 0);
  let at = 0;
  const said = PROGRESS.filter((state) => progress[state]);
  const words = said.map((state) => `${count(progress[state])} ${state}`).join(", ");
  return html`<div class="progress">
    <svg viewBox="0 0 1000 14" preserveAspectRatio="none" role="img"
      aria-label=${`${label}: ${words || "nothing"}`}>
      <rect class="track" width="1000" height="14" />
      ${said.map((state) => {
        const wide = (1000 * progress[state]) / Math.max(1, total);
        const x = at;
        at += wide;
        return html`<g key=${state} class=${`tone-${toneOf(state)} is-${state}`}>
          <rect class="fill" x=${x} width=${Math.max(2, wide - 2)} height="14">
            <title>${count(progress[state])} ${state}</title></rect></g>`;
      })}
    </svg>
    ${href && html`<ul>${PROGRESS.filter((state) => progress[state] || state === "done")
      .map((state) => html`<li key=${state}><${Shape} status=${state} />
        <a href=${href(state)}>${count(progress[state])} ${state}</a></li>`)}</ul>`}
  </div>`;
}
