// The paths of the device's API and what the console asks of them. Nothing here draws.

import { getJson, send, withQuery } from "./web/live.js";

const id = encodeURIComponent;

export const STATUSES = ["RUNNING", "COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED", "PAUSED"];

/** One quoted term of Conductor's query language; a quote cannot be part of a value there. */
function term(field, value) {
  return value ? `${field} = "${String(value).replaceAll(/["\\]/g, "")}"` : "";
}

export function searchWorkflows({ name, status, text, start = 0, size = 25 }, abort) {
  const query = [term("workflowType", name), term("status", status)].filter(Boolean).join(" AND ");
  return getJson(withQuery("api/workflow/search", {
    start, size, query, freeText: text, sort: "startTime:DESC",
  }), abort);
}

/** How many workflows there are in each status. */
export async function countWorkflows(abort) {
  const found = await Promise.all(
    STATUSES.map((status) => searchWorkflows({ status, size: 1 }, abort)),
  );
  return Object.fromEntries(STATUSES.map((status, index) => [status, found[index].totalHits]));
}

export const getWorkflow = (workflowId, abort) =>
  getJson(`api/workflow/${id(workflowId)}?includeTasks=true`, abort);
export const getDefinitions = (abort) => getJson("api/metadata/workflow", abort);
export const getTaskLog = (taskId, abort) => getJson(`api/tasks/${id(taskId)}/log`, abort);
export const getDevices = (abort) => getJson("api/v1/devices", abort);
export const getSync = (abort) => getJson("api/v1/sync", abort);
export const getHealth = (abort) => getJson("health", abort);

export const pauseWorkflow = (workflowId) => send("PUT", `api/workflow/${id(workflowId)}/pause`);
export const resumeWorkflow = (workflowId) => send("PUT", `api/workflow/${id(workflowId)}/resume`);
export const terminateWorkflow = (workflowId, reason) =>
  send("DELETE", withQuery(`api/workflow/${id(workflowId)}`, { reason }));
export const retryWorkflow = (workflowId) => send("POST", `api/workflow/${id(workflowId)}/retry`, {});
export const restartWorkflow = (workflowId) =>
  send("POST", `api/workflow/${id(workflowId)}/restart`, {});
export const startWorkflow = ({ name, version, input, correlationId }) =>
  send("POST", withQuery(`api/workflow/${id(name)}`, { version, correlationId }), input);

export const snapshotUrl = (device, stamp) => `api/v1/devices/${id(device)}/snapshot.jpg?at=${stamp}`;
export const evidenceUrl = (path) => `api/v1/evidence/${path.split("/").map(id).join("/")}`;
