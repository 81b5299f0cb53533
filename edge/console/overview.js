// The first page of the console: is the device well, what does it see, what has it done lately.

import {
  STATUSES, countWorkflows, getDevices, getHealth, getSync, searchWorkflows, snapshotUrl,
} from "./api.js";
import { html, useEffect, useState } from "./web/dom.js";
import { count, duration, words } from "./web/format.js";
import { now, useResource } from "./web/live.js";
import { Ago, Empty, Facts, Figure, Panel, Table, Trouble } from "./web/parts.js";
import { link } from "./web/router.js";
import { Status } from "./web/status.js";
import { workflowColumns } from "./workflows.js";

const FIGURES_EVERY_MS = 5000;
const DEVICES_EVERY_MS = 2000;
const PICTURE_EVERY_MS = 1000;
const PICTURE_RETRY_MS = 5000;
const PICTURE_WAIT_MS = 30_000;
const LANES = ["control", "urgent", "history", "bulk"];

const isWorkflow = (change) => change.name === "workflow";

/** A camera that could not be opened has no capability yet; its driver tells what it would be. */
function isCamera(device) {
  const capability = String(device.capability ?? "").toLowerCase();
  return capability ? capability === "camera" : /camera/i.test(device.driver);
}

export function Overview() {
  const devices = useResource(getDevices, "devices", { everyMs: DEVICES_EVERY_MS });
  const all = devices.data ?? [];
  const cameras = all.filter(isCamera);
  const others = all.filter((device) => !isCamera(device));
  return html`<h1>Overview</h1>
    <${Counts} />
    <div class="split">
      <div class="stack">
        <${Panel} title="Cameras" aside=${cameras.length > 0 && html`<span class="soft small">a picture each second</span>`}>
          <${Trouble} error=${devices.error} again=${devices.reload} />
          ${cameras.length > 0 && html`<div class="cameras">
            ${cameras.map((device) => html`<${Camera} key=${device.name} device=${device} />`)}</div>`}
          ${devices.data && !cameras.length && html`<${Empty} title="No camera is set up">
            Name one in <code>devices.toml</code> and start the daemon again.<//>`}
        <//>
        <${Latest} />
      </div>
      <div class="stack side">
        <${SyncState} />
        ${others.length > 0 && html`<${Panel} title="Other devices"><${Others} devices=${others} /><//>`}
      </div>
    </div>`;
}

function Counts() {
  const health = useResource(getHealth, "health", { everyMs: FIGURES_EVERY_MS });
  const counts = useResource(countWorkflows, "counts", {
    affects: isWorkflow, everyMs: FIGURES_EVERY_MS * 6,
  });
  const well = healthOf(health);
  return html`<${Trouble} error=${counts.error} again=${counts.reload} />
    <div class="tiles">
      <${Figure} label="Health" status=${well.status} value=${well.word} note=${well.note} />
      ${STATUSES.map((status) => html`<${Figure} key=${status} label=${words(status)} status=${status}
        value=${counts.data ? counts.data[status] : "–"} href=${link(["workflows"], { status })} />`)}
    </div>`;
}

/** The health endpoint speaks by its status; a body that denies it wins. */
function healthOf({ data, error }) {
  if (error) return { status: "down", word: error.status ? "Unwell" : "No answer", note: error.message };
  if (data === null) return { status: "connecting", word: "…" };
  const denied = data.healthy === false || /down|fail|error/i.test(String(data.status ?? ""));
  // What is the matter is told also where the device does everything else, such as without a worker.
  const note = (data.healthResults ?? []).filter((part) => part.healthy === false)
    .map(({ details }) => [details?.name, details?.reason].filter(Boolean).join(": ")).join("; ");
  return denied ? { status: "down", word: "Unwell", note } : { status: "up", word: "Healthy", note };
}

/** A camera's picture, asked for again only when the last one is there: a slow link is not flooded. */
function usePicture(name) {
  const [picture, setPicture] = useState({ url: "", failed: false });
  useEffect(() => {
    let timer = 0;
    let over = false;
    const next = (state, pauseMs = PICTURE_EVERY_MS) => {
      if (over) return;
      if (state) setPicture(state);
      timer = setTimeout(ask, pauseMs);
    };
    const ask = () => {
      if (document.hidden) return next(null);
      const loading = new Image();
      const arrived = (state, pauseMs) => {
        loading.onload = loading.onerror = null;
        clearTimeout(timer);
        next(state, pauseMs);
      };
      const none = () => arrived({ url: "", failed: true }, PICTURE_RETRY_MS);
      loading.onload = () => arrived({ url: loading.src, failed: false });
      loading.onerror = none;
      // On a link that swallows what is sent, an old picture would pass for a live one.
      timer = setTimeout(none, PICTURE_WAIT_MS);
      loading.src = snapshotUrl(name, Date.now());
    };
    ask();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [name]);
  return picture;
}

function Camera({ device }) {
  const picture = usePicture(device.name);
  const status = device.status ?? {};
  const size = status.width ? `${status.width} × ${status.height}` : "";
  const rate = typeof status.fps === "number" ? `${status.fps.toFixed(1)} fps` : "";
  const details = [
    size, rate, typeof status.frames === "number" && `${count(status.frames)} frames`,
    status.reconnects > 0 && `${count(status.reconnects)} reconnect${status.reconnects === 1 ? "" : "s"}`,
  ].filter(Boolean).join(" · ");
  return html`<article class="camera" aria-label=${`Camera ${device.name}`}>
    <div class="view">
      ${picture.url
        ? html`<img src=${picture.url} alt=${`Live picture of ${device.name}`} />`
        : html`<p>${picture.failed ? status.message || "No picture yet." : "Waiting for a picture…"}</p>`}
    </div>
    <div class="caption">
      <strong>${device.name}</strong><${Status} value=${status.state} />
      <span class="line">${details || device.driver}</span>
      <span class="line">${device.driver} · last frame <${Ago} at=${status.lastFrameMs} /></span>
      ${picture.url && status.message && html`<span class="line">${status.message}</span>`}
    </div>
  </article>`;
}

function Others({ devices }) {
  return html`<${Table} label="Other devices" rows=${devices} keyOf=${(device) => device.name}
    columns=${[
      { title: "Name", grow: true, cell: (device) => html`<span class="strong">${device.name}</span>
          <span class="sub">${device.driver}${device.status?.message && ` · ${device.status.message}`}</span>` },
      { title: "State", bare: true, cell: (device) => html`<${Status} value=${device.status?.state} />` },
    ]} />`;
}

function SyncState() {
  const sync = useResource(getSync, "sync", { everyMs: DEVICES_EVERY_MS });
  // Without a broker the daemon answers only that sync is off.
  const off = sync.data && sync.data.enabled === false;
  const state = off ? null : sync.data;
  return html`<${Panel} title="Sync" aside=${state && html`<${Status} value=${state.state} />`}>
    <${Trouble} error=${sync.error} again=${sync.reload} />
    ${off && html`<${Empty} title="Sync is off">History stays on this device. Name a broker in the
      configuration to send it to a control plane.<//>`}
    ${state && html`<${Facts} facts=${[
      ["Waiting to be sent", count(state.backlog)],
      ["Last receipt", state.lastAckMs || !isStored(state) ? html`<${Ago} at=${state.lastAckMs} />`
        : "none since it was started"],
      ["Device", state.device ?? "–"],
      ["Broker", state.broker || "–"],
    ]} />
    <p class="soft small note">Stored by the control plane: ${storedText(state.syncedTo)}</p>
    ${state.reason && html`<p class="small note">${state.reason}</p>`}
    ${state.state === "greeting" && html`<p class="small note">The broker answers; the control plane does not yet.</p>`}
    ${backlogNote(state)}`}
  <//>`;
}

/** How far each lane is stored: "history 4,810 · urgent 12". */
function storedText(syncedTo) {
  const lanes = Object.entries(syncedTo ?? {}).filter(([, seq]) => seq > 0);
  if (!lanes.length) return "nothing yet";
  return lanes.reverse().map(([lane, seq]) => `${LANES[lane] ?? `lane ${lane}`} ${count(seq)}`).join(" · ");
}

/** Whether anything was stored, also before this start. */
const isStored = (state) => Object.values(state.syncedTo ?? {}).some((seq) => seq > 0);

/** Whoever sees the figure grow, far from any network, is told what becomes of it. */
function backlogNote(state) {
  const silentMs = state.lastAckMs ? now.value - state.lastAckMs : Infinity;
  const waits = state.backlog > 0 && (silentMs > 60_000) && state.state !== "syncing";
  if (!waits) return null;
  return html`<p class="soft small note">${state.lastAckMs ? `No receipt for ${duration(silentMs)}. ` : ""}Nothing is
    lost: history waits here until the control plane has stored it.</p>`;
}

function Latest() {
  const found = useResource((abort) => searchWorkflows({ size: 8 }, abort), "latest", {
    affects: isWorkflow,
  });
  const rows = found.data?.results ?? [];
  return html`<${Panel} title="Latest workflows"
    aside=${html`<a href=${link(["workflows"])}>All workflows</a>`}>
    <${Trouble} error=${found.error} again=${found.reload} />
    ${rows.length > 0 && html`<${Table} label="Latest workflows" rows=${rows}
      columns=${workflowColumns()} keyOf=${(row) => row.workflowId}
      href=${(row) => link(["workflows", row.workflowId])} />`}
    ${found.data && !rows.length && html`<${Empty} title="No workflow has run yet">
      Start one from its <a href=${link(["definitions"])}>definition</a>, or wait for a camera to
      trip one.<//>`}
  <//>`;
}
