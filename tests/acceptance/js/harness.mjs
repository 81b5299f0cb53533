// Runs the cases of a file against a daemon, and says how each went: one line of JSON a case.
// Nothing of Baton is imported: what is loaded is the stock package of the registry.
//
//     node FILE.mjs API_URL FOLDER_OF_THE_PACKAGES

import { createRequire } from "node:module";
import { join } from "node:path";

const [apiUrl, packages] = process.argv.slice(2);
const require = createRequire(join(packages, "package.json"));

// The SDK logs to the console; standard output belongs to the results.
for (const level of ["log", "info", "debug", "warn"]) {
  console[level] = () => {};
}

export const sdk = require("@io-orkes/conductor-javascript");
export const clients = await sdk.OrkesClients.from({ serverUrl: apiUrl });
export const executor = clients.getWorkflowClient();
export const OWNER = "a@b.invalid";

const cases = [];

export function test(name, run) {
  cases.push({ name, run });
}

export async function until(what, ask, withinMs = 30000) {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer) {
      return answer;
    }
    if (Date.now() > deadline) {
      throw new Error(`not within ${withinMs} ms: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export function ended(workflowId) {
  return until(`the end of ${workflowId}`, async () => {
    const execution = await executor.getWorkflow(workflowId, true);
    return ["RUNNING", "PAUSED"].includes(execution.status) ? undefined : execution;
  });
}

export function waiting(workflowId, referenceName) {
  return until(`${referenceName} of ${workflowId} to wait`, async () => {
    const execution = await executor.getWorkflow(workflowId, true);
    return execution.tasks.find(
      (task) =>
        task.referenceTaskName === referenceName &&
        ["SCHEDULED", "IN_PROGRESS"].includes(task.status),
    );
  });
}

// A definition of one WAIT that nothing but a client ends.
export async function registerWaiting(name) {
  const definition = new sdk.ConductorWorkflow(executor, name, 1)
    .ownerEmail(OWNER)
    .add({ name: "hold", taskReferenceName: "hold", type: "WAIT", inputParameters: {} })
    .outputParameters({ said: "${hold.output.said}" });
  await definition.register();
  return definition;
}

export async function main() {
  for (const { name, run } of cases) {
    let error = null;
    try {
      await run();
    } catch (problem) {
      error = problem?.stack ?? String(problem);
    }
    process.stdout.write(`${JSON.stringify({ name, error })}\n`);
  }
  // The connections that the SDK keeps alive would hold the process.
  process.exit(0);
}
