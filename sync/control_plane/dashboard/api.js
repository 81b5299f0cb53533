// The paths of the control plane's API and what the dashboard asks of them. Nothing here draws.

import { getJson, send, withQuery } from "./web/live.js";
import { place } from "./web/router.js";

const id = encodeURIComponent;
const list = (path) => (asked, abort) => getJson(withQuery(`api/v1/${path}`, asked), abort);

export const STATUSES = ["RUNNING", "COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED", "PAUSED"];
export const STATES = ["online", "lagging", "offline", "never"];

export const getSummary = (abort) => getJson("api/v1/summary", abort);
export const getFigures = list("figures");
export const getNotices = list("notices");

export const getDevices = list("devices");
export const getDevice = (device, abort) => getJson(`api/v1/devices/${id(device)}`, abort);
/** More of one device: `standing`, `gaps`, `wanted`, `orders`. */
export const getOfDevice = (device, what, asked, abort) =>
  getJson(withQuery(`api/v1/devices/${id(device)}/${what}`, asked), abort);
export const registerDevice = (device, tags) => send("POST", "api/v1/devices", { device, tags });
export const removeDevice = (device) => send("DELETE", `api/v1/devices/${id(device)}`);
export const getTags = (abort) => getJson("api/v1/tags", abort);
export const changeTags = (devices, add, remove) => send("PATCH", "api/v1/tags", { devices, add, remove });

const group = (name) => `api/v1/groups/${id(name)}`;
export const getGroups = (abort) => getJson("api/v1/groups", abort);
export const getGroup = (name, abort) => getJson(group(name), abort);
export const putGroup = (name, body) => send("PUT", group(name), body);
export const changeMembers = (name, change) => send("PATCH", `${group(name)}/members`, change);
export const removeGroup = (name) => send("DELETE", group(name));

const execution = (device, workflowId) => `api/v1/executions/${id(device)}/${id(workflowId)}`;
export const getExecutions = list("executions");
export const getExecution = (device, workflowId, abort) =>
  getJson(execution(device, workflowId), abort);
export const steer = (device, workflowId, action, body) =>
  send("POST", `${execution(device, workflowId)}/actions/${action}`, body);
export const getComparison = list("comparison");

/** Where a kept file is fetched; its key may hold slashes, and a picture can send no header. */
export function evidenceUrl(device, workflowId, file) {
  const path = file.key.split("/").map(id).join("/");
  return withQuery(`${execution(device, workflowId)}/evidence/${path}`, {
    taskId: file.taskId, tenant: place.value.query.tenant,
  });
}

export const getOrders = list("orders");
export const getOrder = (order, abort) => getJson(`api/v1/orders/${id(order)}`, abort);
export const giveOrder = (device, body) => send("POST", `api/v1/devices/${id(device)}/orders`, body);
export const withdrawOrder = (order) => send("DELETE", `api/v1/orders/${id(order)}`);

export const getFetches = list("fetches");
export const fetchFrom = (device, what, body) => send("POST", `api/v1/devices/${id(device)}/${what}`, body);
export const removeFetch = (fetched) => send("DELETE", `api/v1/fetches/${id(fetched)}`);
/** A link can send no header: whose it is stands in the query. */
export const contentUrl = (fetched) =>
  withQuery(`api/v1/fetches/${id(fetched)}/content`, { tenant: place.value.query.tenant });

const campaign = (name) => `api/v1/campaigns/${id(name)}`;
export const previewTarget = (target) => send("POST", "api/v1/campaigns/preview", target);
export const getCampaigns = list("campaigns");
export const getCampaign = (name, abort) => getJson(campaign(name), abort);
export const getMembers = (name, asked, abort) =>
  getJson(withQuery(`${campaign(name)}/members`, asked), abort);
export const makeCampaign = (body) => send("POST", "api/v1/campaigns", body);
export const stopCampaign = (name) => send("POST", `${campaign(name)}/stop`);

const wanted = (kind, name) => `api/v1/wanted/${id(kind)}/${id(name)}`;
export const getAllWanted = (abort) => getJson("api/v1/wanted", abort);
export const getWanted = (kind, name, abort) => getJson(wanted(kind, name), abort);
export const getVersion = (kind, name, revision, abort) =>
  getJson(`${wanted(kind, name)}/versions/${revision}`, abort);
export const getDrift = (kind, name, asked, abort) =>
  getJson(withQuery(`${wanted(kind, name)}/drift`, asked), abort);
export const push = (kind, name, body) => send("PUT", wanted(kind, name), body);

export const getAlerts = list("alerts");
export const acknowledge = (number) => send("POST", `api/v1/alerts/${number}/acknowledge`);
export const getRules = (abort) => getJson("api/v1/alert-rules", abort);
export const putRule = (name, body) => send("PUT", `api/v1/alert-rules/${id(name)}`, body);
export const removeRule = (name) => send("DELETE", `api/v1/alert-rules/${id(name)}`);
const channel = (name) => `api/v1/alert-channels/${id(name)}`;
export const getChannels = (abort) => getJson("api/v1/alert-channels", abort);
export const putChannel = (name, body) => send("PUT", channel(name), body);
export const removeChannel = (name) => send("DELETE", channel(name));
export const testChannel = (name) => send("POST", `${channel(name)}/test`);
export const getDeliveries = list("alert-deliveries");

export const getTokens = (abort) => getJson("api/v1/tokens", abort);
export const makeToken = (body) => send("POST", "api/v1/tokens", body);
export const revokeToken = (token) => send("DELETE", `api/v1/tokens/${id(token)}`);
export const getTenants = (abort) => getJson("api/v1/tenants", abort);
export const putTenant = (tenant, title) => send("PUT", `api/v1/tenants/${id(tenant)}`, { title });
export const removeTenant = (tenant) => send("DELETE", `api/v1/tenants/${id(tenant)}`);
export const getAudit = list("audit");
export const verifyAudit = () => getJson("api/v1/audit/verification");
