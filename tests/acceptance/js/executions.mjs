// WorkflowExecutor: start, execute, signal, and everything that is done to what runs.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import {
  OWNER, ended, executor, main, registerWaiting, sdk, test, until, waiting,
} from "./harness.mjs";

const holding = await registerWaiting("js_holding");
const hold = (values = {}) =>
  executor.startWorkflow({ name: "js_holding", version: 1, ...values });
const status = async (workflowId) => (await executor.getWorkflow(workflowId, false)).status;

test("start by request, by name and by the builder", async () => {
  const ids = [
    await hold({ correlationId: "js-start", priority: 3, input: { a: 1 } }),
    await executor.startWorkflowByName("js_holding", { a: 2 }, 1, "js-start", 4),
    await holding.startWorkflow({ a: 3 }, "js-start", 5),
  ];
  const executions = await Promise.all(ids.map((id) => executor.getWorkflow(id, false)));

  assert.deepEqual(executions.map((one) => one.input.a), [1, 2, 3]);
  assert.deepEqual(executions.map((one) => one.priority), [3, 4, 5]);
  assert.ok(executions.every((one) => one.correlationId === "js-start"));
});

test("the same key of idempotency starts nothing twice", async () => {
  const key = randomUUID();
  const request = { idempotencyKey: key, idempotencyStrategy: "RETURN_EXISTING" };

  assert.equal(await hold(request), await hold(request));
  await assert.rejects(hold({ idempotencyKey: key, idempotencyStrategy: "FAIL" }));
});

test("execute answers when it has ended", async () => {
  const definition = new sdk.ConductorWorkflow(executor, "js_executed", 1)
    .ownerEmail(OWNER)
    .add(sdk.jsonJqTask("answer", ".word"))
    .outputParameter("word", "${workflow.input.word}");
  await definition.register();
  const run = await definition.execute({ word: "now" }, "", randomUUID());

  assert.equal(run.status, "COMPLETED");
  assert.deepEqual(run.output, { word: "now" });
});

test("execute answers with what blocks it, as the strategy says", async () => {
  const execute = (strategy) =>
    executor.executeWorkflow(
      { name: "js_holding", version: 1 }, "js_holding", 1, randomUUID(), "", 2,
      "DURABLE", strategy,
    );
  const target = await execute("TARGET_WORKFLOW");
  const blocking = await execute("BLOCKING_WORKFLOW");
  const task = await execute("BLOCKING_TASK");
  const input = await execute("BLOCKING_TASK_INPUT");

  assert.ok(target.isTargetWorkflow());
  assert.equal(target.getWorkflow().status, "RUNNING");
  assert.ok(blocking.isBlockingWorkflow());
  assert.equal(task.getBlockingTask().referenceTaskName, "hold");
  assert.equal(typeof input.getTaskInput(), "object");
  assert.equal(input.targetWorkflowId, input.workflowId);
});

test("a signal ends the wait and answers with the workflow", async () => {
  const workflowId = await hold();
  await waiting(workflowId, "hold");
  const answer = await executor.signal(workflowId, "COMPLETED", { said: "go" });

  assert.ok(answer.isTargetWorkflow());
  assert.equal(workflowId, answer.targetWorkflowId);
  assert.equal((await ended(workflowId)).status, "COMPLETED");
});

test("a signal need not be waited for", async () => {
  const workflowId = await hold();
  await waiting(workflowId, "hold");
  await executor.signalAsync(workflowId, "FAILED_WITH_TERMINAL_ERROR", {});

  assert.equal((await ended(workflowId)).status, "FAILED");
});

test("pause and resume", async () => {
  const workflowId = await hold();
  await executor.pause(workflowId);
  assert.equal(await status(workflowId), "PAUSED");
  await executor.resume(workflowId);
  assert.equal(await status(workflowId), "RUNNING");
});

test("terminate, restart, terminate, retry", async () => {
  const workflowId = await hold();
  await executor.terminate(workflowId, "enough");
  const stopped = await executor.getWorkflow(workflowId, true);
  assert.deepEqual(["TERMINATED", "enough"], [stopped.status, stopped.reasonForIncompletion]);
  await executor.restart(workflowId, false);
  assert.equal(await status(workflowId), "RUNNING");
  await executor.terminate(workflowId, "again");
  await executor.retry(workflowId, false);
  assert.equal(await status(workflowId), "RUNNING");
});

test("rerun and go back to a task", async () => {
  const workflowId = await hold();
  const { taskId } = await waiting(workflowId, "hold");
  await executor.updateTask(taskId, workflowId, "COMPLETED", { said: "first" });
  await ended(workflowId);
  await executor.reRun(workflowId, { reRunFromTaskId: taskId });
  await waiting(workflowId, "hold");
  await executor.updateTaskByRefName("hold", workflowId, "COMPLETED", { said: "second" });
  assert.deepEqual((await ended(workflowId)).output, { said: "second" });
  await executor.goBackToTask(workflowId, (task) => task.referenceTaskName === "hold");
  await waiting(workflowId, "hold");
  assert.equal(await status(workflowId), "RUNNING");
});

test("update a task and wait for what follows", async () => {
  const workflowId = await hold();
  await waiting(workflowId, "hold");
  const after = await executor.updateTaskSync("hold", workflowId, "COMPLETED", { n: 1 });

  assert.equal(after.workflowId, workflowId);
  assert.equal((await ended(workflowId)).status, "COMPLETED");
});

test("skip a task", async () => {
  const definition = new sdk.ConductorWorkflow(executor, "js_skipped", 1)
    .ownerEmail(OWNER)
    .add({ name: "hold", taskReferenceName: "hold", type: "WAIT", inputParameters: {} })
    .add({ name: "next", taskReferenceName: "next", type: "WAIT", inputParameters: {} });
  await definition.register();
  const workflowId = await definition.startWorkflow({});
  await waiting(workflowId, "hold");
  await executor.skipTasksFromWorkflow(workflowId, "next", {
    taskInput: {}, taskOutput: { skipped: true },
  });
  await executor.signal(workflowId, "COMPLETED", {});
  const execution = await ended(workflowId);

  assert.equal(execution.status, "COMPLETED");
  assert.equal(execution.tasks[1].status, "SKIPPED");
});

test("variables and state are changed from outside", async () => {
  const workflowId = await hold();
  const changed = await executor.updateVariables(workflowId, { phase: 2 });
  assert.equal(changed.variables.phase, 2);
  await executor.updateState(
    workflowId,
    {
      taskReferenceName: "hold", variables: { phase: 3 },
      taskResult: { status: "COMPLETED", outputData: { said: "state" } },
    },
    randomUUID(), "", 2,
  );
  const execution = await ended(workflowId);

  assert.deepEqual(execution.output, { said: "state" });
  assert.equal(execution.variables.phase, 3);
});

test("search, by query and by correlation", async () => {
  const correlationId = randomUUID();
  const workflowId = await hold({ correlationId });
  const found = await until("the search to find it", async () => {
    const page = await executor.search(0, 10, `correlationId = '${correlationId}'`, "*");
    return page.results.length ? page : undefined;
  });
  const byCorrelation = await executor.getByCorrelationIds({
    workflowNames: ["js_holding"], correlationIds: [correlationId],
  });

  assert.deepEqual(found.results.map((one) => one.workflowId), [workflowId]);
  assert.deepEqual(byCorrelation[correlationId].map((one) => one.workflowId), [workflowId]);
});

test("the summary of a status", async () => {
  const workflowId = await hold({ input: { a: 1 } });
  const summary = await executor.getWorkflowStatus(workflowId, true, true);

  assert.equal(summary.workflowId, workflowId);
  assert.equal(summary.status, "RUNNING");
});

test("a definition is tried with made-up outputs", async () => {
  const tried = await executor.testWorkflow({
    name: "js_tried", version: 1,
    workflowDef: {
      name: "js_tried", version: 1, ownerEmail: OWNER, timeoutSeconds: 0,
      tasks: [{ name: "t", taskReferenceName: "t", type: "SIMPLE", inputParameters: {} }],
      outputParameters: { got: "${t.output.value}" },
    },
    taskRefToMockOutput: { t: [{ status: "COMPLETED", output: { value: 7 } }] },
  });

  assert.equal(tried.status, "COMPLETED");
  assert.deepEqual(tried.output, { got: 7 });
});

test("what is deleted is gone", async () => {
  const workflowId = await hold();
  await executor.terminate(workflowId, "over");
  await executor.deleteWorkflow(workflowId, false);

  await assert.rejects(executor.getWorkflow(workflowId, false));
});

await main();
