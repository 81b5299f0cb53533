// Workers as any user of the SDK writes them, in the SDK's own loops.

import assert from "node:assert/strict";

import { OWNER, clients, ended, executor, main, sdk, test } from "./harness.mjs";

const client = clients.getClient();

async function register(taskName, values = {}) {
  await clients.getMetadataClient().registerTask({
    name: taskName, retryCount: 0, timeoutSeconds: 60, responseTimeoutSeconds: 30,
    ownerEmail: OWNER, ...values,
  });
  const definition = new sdk.ConductorWorkflow(executor, `${taskName}_flow`, 1)
    .ownerEmail(OWNER)
    .add(sdk.simpleTask("work", taskName, { name: "${workflow.input.name}" }))
    .outputParameters({ said: "${work.output.said}" });
  await definition.register();
  return definition;
}

async function withHandler(workers, act) {
  sdk.clearWorkerRegistry();
  for (const [options, run] of workers) {
    sdk.worker({ pollInterval: 50, ...options })(run);
  }
  const handler = new sdk.TaskHandler({ client, scanForDecorated: true });
  await handler.startWorkers();
  try {
    return await act();
  } finally {
    await handler.stopWorkers();
    sdk.clearWorkerRegistry();
  }
}

test("TaskHandler runs a registered worker", async () => {
  const definition = await register("js_greet");
  const greet = async (task) => ({
    status: "COMPLETED", outputData: { said: `hello ${task.inputData.name}` },
  });
  const execution = await withHandler([[{ taskDefName: "js_greet" }, greet]], async () =>
    ended(await definition.startWorkflow({ name: "edge" })),
  );

  assert.deepEqual(["COMPLETED", { said: "hello edge" }], [execution.status, execution.output]);
});

test("TaskManager runs a list of workers", async () => {
  const definition = await register("js_managed");
  const seen = [];
  const manager = new sdk.TaskManager(
    client,
    [{
      taskDefName: "js_managed",
      execute: async (task) => {
        seen.push(task.inputData.name);
        return { status: "COMPLETED", outputData: { said: "managed" } };
      },
    }],
    { options: { pollInterval: 50, concurrency: 4 } },
  );
  manager.startPolling();
  try {
    const names = ["a", "b", "c", "d", "e"];
    const ids = await Promise.all(names.map((name) => definition.startWorkflow({ name })));
    const executions = await Promise.all(ids.map(ended));

    assert.ok(executions.every((one) => one.status === "COMPLETED"));
    assert.deepEqual(seen.sort(), names);
  } finally {
    await manager.stopPolling();
  }
});

test("an exception fails the attempt and the next one is retried", async () => {
  const definition = await register("js_flaky", { retryCount: 2, retryDelaySeconds: 0 });
  const flaky = async (task) => {
    if (task.retryCount === 0) {
      throw new Error("the link was down");
    }
    return { status: "COMPLETED", outputData: { said: "up" } };
  };
  const execution = await withHandler([[{ taskDefName: "js_flaky" }, flaky]], async () =>
    ended(await definition.startWorkflow({})),
  );

  assert.equal(execution.status, "COMPLETED");
  assert.deepEqual(execution.tasks.map((task) => task.status), ["FAILED", "COMPLETED"]);
  assert.match(execution.tasks[0].reasonForIncompletion, /the link was down/);
});

test("NonRetryableException ends it although retries are left", async () => {
  const definition = await register("js_refuse", { retryCount: 5 });
  const refuse = async () => {
    throw new sdk.NonRetryableException("never ask again");
  };
  const execution = await withHandler([[{ taskDefName: "js_refuse" }, refuse]], async () =>
    ended(await definition.startWorkflow({})),
  );

  assert.equal(execution.status, "FAILED");
  assert.deepEqual(
    execution.tasks.map((task) => task.status), ["FAILED_WITH_TERMINAL_ERROR"],
  );
});

test("a worker in progress is called back", async () => {
  const definition = await register("js_steps");
  const steps = async (task) =>
    task.pollCount < 2
      ? { status: "IN_PROGRESS", callbackAfterSeconds: 1, outputData: { step: 1 } }
      : { status: "COMPLETED", outputData: { said: `after ${task.pollCount} polls` } };
  const execution = await withHandler([[{ taskDefName: "js_steps" }, steps]], async () =>
    ended(await definition.startWorkflow({})),
  );

  assert.deepEqual(execution.output, { said: "after 2 polls" });
});

test("the context's log lines are kept", async () => {
  const definition = await register("js_logging");
  const logging = async () => {
    sdk.getTaskContext().addLog("the door is open");
    return { status: "COMPLETED", outputData: {} };
  };
  const execution = await withHandler([[{ taskDefName: "js_logging" }, logging]], async () =>
    ended(await definition.startWorkflow({})),
  );
  const lines = await clients.getTaskClient().getTaskLogs(execution.tasks[0].taskId);

  assert.deepEqual(lines.map((line) => line.log), ["the door is open"]);
});

test("a worker of a domain gets the tasks of its domain only", async () => {
  const definition = await register("js_domain");
  const answer = (said) => async () => ({ status: "COMPLETED", outputData: { said } });
  const both = await withHandler(
    [
      [{ taskDefName: "js_domain", domain: "roof" }, answer("roof")],
      [{ taskDefName: "js_domain" }, answer("anywhere")],
    ],
    async () => [
      await ended(
        await executor.startWorkflow({
          name: definition.getName(), version: 1, taskToDomain: { js_domain: "roof" },
        }),
      ),
      await ended(await definition.startWorkflow({})),
    ],
  );

  assert.deepEqual(both.map((one) => one.output.said), ["roof", "anywhere"]);
});

test("a lease is extended while the worker works", async () => {
  const definition = await register("js_slow", { responseTimeoutSeconds: 5 });
  const slow = async () => {
    await new Promise((resolve) => setTimeout(resolve, 8000));
    return { status: "COMPLETED", outputData: { said: "done" } };
  };
  const execution = await withHandler(
    [[{ taskDefName: "js_slow", leaseExtendEnabled: true }, slow]],
    async () => ended(await definition.startWorkflow({})),
  );

  assert.deepEqual(["COMPLETED", { said: "done" }], [execution.status, execution.output]);
  assert.equal(execution.tasks.length, 1);
});

test("many workers of one process share the work", async () => {
  const definition = await register("js_many");
  const counted = { n: 0 };
  const run = async () => {
    counted.n += 1;
    return { status: "COMPLETED", outputData: {} };
  };
  await withHandler([[{ taskDefName: "js_many", concurrency: 10 }, run]], async () => {
    const ids = await Promise.all(
      Array.from({ length: 30 }, () => definition.startWorkflow({})),
    );
    await Promise.all(ids.map(ended));
  });

  assert.equal(counted.n, 30);
});

await main();
