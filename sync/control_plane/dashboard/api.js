// The paths of the control plane's API and what the dashboard asks of them. Nothing here draws.

import { getJson, withQuery } from "./web/live.js";

const id = encodeURIComponent;

export const STATUSES = ["RUNNING", "COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED", "PAUSED"];

export const getSummary = (abort) => getJson("api/v1/summary", abort);
export const getDevices = (abort) => getJson("api/v1/devices", abort);
export const getDevice = (device, abort) => getJson(`api/v1/devices/${id(device)}`, abort);
export const getExecutions = ({ device, status, name, text, after, limit = 25 }, abort) =>
  getJson(withQuery("api/v1/executions", { device, status, name, text, after, limit }), abort);
export const getExecution = (device, workflowId, abort) =>
  getJson(`api/v1/executions/${id(device)}/${id(workflowId)}`, abort);

/** Where a kept file is fetched; its key may hold slashes. */
export function evidenceUrl(device, workflowId, file) {
  const path = file.key.split("/").map(id).join("/");
  return withQuery(`api/v1/executions/${id(device)}/${id(workflowId)}/evidence/${path}`, {
    taskId: file.taskId,
  });
}
