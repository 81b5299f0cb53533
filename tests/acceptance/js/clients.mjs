// The clients of what is kept: metadata, schedules, events, secrets, schemas, tasks.

import assert from "node:assert/strict";

import {
  OWNER, clients, ended, executor, main, registerWaiting, sdk, test, until, waiting,
} from "./harness.mjs";

await registerWaiting("js_kept");
const metadata = clients.getMetadataClient();
const tag = (key, value) => ({ key, value });

test("task definitions", async () => {
  await metadata.registerTasks([
    { name: "js_def_one", retryCount: 1, timeoutSeconds: 0, ownerEmail: OWNER },
    { name: "js_def_two", retryCount: 2, timeoutSeconds: 0, ownerEmail: OWNER },
  ]);
  await metadata.updateTask({
    name: "js_def_one", retryCount: 4, timeoutSeconds: 0, ownerEmail: OWNER,
  });
  assert.equal((await metadata.getTask("js_def_one")).retryCount, 4);
  const names = (await metadata.getAllTaskDefs()).map((one) => one.name);
  assert.ok(["js_def_one", "js_def_two"].every((name) => names.includes(name)));
  await metadata.unregisterTask("js_def_two");
  await assert.rejects(metadata.getTask("js_def_two"));
});

test("workflow definitions", async () => {
  const definition = {
    name: "js_defined", version: 2, ownerEmail: OWNER, timeoutSeconds: 0,
    tasks: [{ name: "t", taskReferenceName: "t", type: "SIMPLE" }],
  };
  await metadata.registerWorkflowDef(definition, true);
  assert.equal((await metadata.getWorkflowDef("js_defined", 2)).version, 2);
  await assert.rejects(metadata.registerWorkflowDef(definition, false));
  const names = (await metadata.getAllWorkflowDefs()).map((one) => one.name);
  assert.ok(names.includes("js_defined"));
  await metadata.unregisterWorkflow("js_defined", 2);
  await assert.rejects(metadata.getWorkflowDef("js_defined", 2));
});

test("tags of definitions", async () => {
  await metadata.addWorkflowTag(tag("team", "roof"), "js_kept");
  assert.deepEqual((await metadata.getWorkflowTags("js_kept")).map((one) => one.value), ["roof"]);
  await metadata.setWorkflowTags([tag("team", "cellar"), tag("env", "test")], "js_kept");
  assert.equal((await metadata.getWorkflowTags("js_kept")).length, 2);
  await metadata.deleteWorkflowTag(tag("env", "test"), "js_kept");
  assert.deepEqual(
    (await metadata.getWorkflowTags("js_kept")).map((one) => one.value), ["cellar"],
  );
  await metadata.registerTask({ name: "js_tagged", timeoutSeconds: 0, ownerEmail: OWNER });
  await metadata.addTaskTag(tag("team", "roof"), "js_tagged");
  assert.deepEqual((await metadata.getTaskTags("js_tagged")).map((one) => one.key), ["team"]);
});

test("schedules", async () => {
  const scheduler = clients.getSchedulerClient();
  await scheduler.saveSchedule({
    name: "js_hourly", cronExpression: "0 0 * ? * *", paused: true,
    startWorkflowRequest: { name: "js_kept", version: 1, input: { by: "clock" } },
  });
  const kept = await scheduler.getSchedule("js_hourly");
  assert.equal(kept.cronExpression, "0 0 * ? * *");
  assert.equal(kept.startWorkflowRequest.input.by, "clock");
  assert.ok((await scheduler.getAllSchedules("js_kept")).some((one) => one.name === "js_hourly"));
  await scheduler.resumeSchedule("js_hourly");
  assert.equal((await scheduler.getSchedule("js_hourly")).paused, false);
  await scheduler.pauseSchedule("js_hourly");
  assert.equal((await scheduler.getSchedule("js_hourly")).paused, true);
  const times = await scheduler.getNextFewSchedules("0 0 * ? * *", undefined, undefined, 3);
  assert.deepEqual([3600000, 3600000], [times[1] - times[0], times[2] - times[1]]);
  await scheduler.setSchedulerTags([tag("team", "roof")], "js_hourly");
  assert.deepEqual(
    (await scheduler.getSchedulerTags("js_hourly")).map((one) => one.value), ["roof"],
  );
  await scheduler.deleteSchedule("js_hourly");
  await assert.rejects(scheduler.getSchedule("js_hourly"));
});

test("a schedule starts what it says", async () => {
  const scheduler = clients.getSchedulerClient();
  await scheduler.saveSchedule({
    name: "js_often", cronExpression: "* * * ? * *",
    startWorkflowRequest: { name: "js_kept", version: 1, correlationId: "js-by-clock" },
  });
  try {
    const found = await until("a start by the clock", async () => {
      const started = await executor.getByCorrelationIds({
        workflowNames: ["js_kept"], correlationIds: ["js-by-clock"],
      });
      return started["js-by-clock"]?.length ? started : undefined;
    });
    assert.equal(found["js-by-clock"][0].workflowName, "js_kept");
  } finally {
    await scheduler.deleteSchedule("js_often");
  }
});

test("event handlers, and an event that one of them takes", async () => {
  const events = clients.getEventClient();
  await events.addEventHandler({
    name: "js_handler", event: "js_door", active: true,
    actions: [{
      action: "start_workflow",
      start_workflow: {
        name: "js_kept", version: 1, correlationId: "js-by-event", input: { door: "${door}" },
      },
    }],
  });
  const kept = await events.getEventHandlerByName("js_handler");
  assert.equal(kept.event, "js_door");
  assert.equal((await events.getEventHandlersForEvent("js_door")).length, 1);
  await events.updateEventHandler({ ...kept, description: "changed" });
  assert.equal((await events.getEventHandlerByName("js_handler")).description, "changed");
  await events.handleIncomingEvent({ event: "js_door", door: "front" });
  const found = await until("a start by the event", async () => {
    const started = await executor.getByCorrelationIds({
      workflowNames: ["js_kept"], correlationIds: ["js-by-event"],
    });
    return started["js-by-event"]?.length ? started : undefined;
  });
  assert.equal(found["js-by-event"][0].input.door, "front");
  await events.putTagForEventHandler("js_handler", [tag("team", "roof")]);
  assert.equal((await events.getTagsForEventHandler("js_handler")).length, 1);
  await events.removeEventHandler("js_handler");
  const names = (await events.getAllEventHandlers()).map((one) => one.name);
  assert.ok(!names.includes("js_handler"));
});

test("secrets", async () => {
  const secrets = clients.getSecretClient();
  await secrets.putSecret("js_password", "opensesame");
  assert.ok(await secrets.secretExists("js_password"));
  assert.equal(await secrets.getSecret("js_password"), "opensesame");
  assert.ok((await secrets.listAllSecretNames()).includes("js_password"));
  await secrets.setSecretTags([tag("team", "roof")], "js_password");
  assert.equal((await secrets.getSecretTags("js_password")).length, 1);
  await secrets.deleteSecret("js_password");
  assert.ok(!(await secrets.listAllSecretNames()).includes("js_password"));
});

test("schemas", async () => {
  const schemas = clients.getSchemaClient();
  await schemas.registerSchema([
    { name: "js_reading", version: 1, type: "JSON", data: { type: "object" } },
  ]);
  assert.deepEqual((await schemas.getSchema("js_reading", 1)).data, { type: "object" });
  assert.equal((await schemas.getSchemaByName("js_reading")).version, 1);
  assert.ok((await schemas.getAllSchemas()).some((one) => one.name === "js_reading"));
  await schemas.deleteSchema("js_reading", 1);
  await assert.rejects(schemas.getSchema("js_reading", 1));
});

test("tasks: read, log, queue, search, finish", async () => {
  const tasks = clients.getTaskClient();
  const definition = new sdk.ConductorWorkflow(executor, "js_queued", 1)
    .ownerEmail(OWNER)
    .add(sdk.simpleTask("lonely", "js_nobody", {}));
  await definition.register();
  const workflowId = await definition.startWorkflow({});
  const { taskId } = await waiting(workflowId, "lonely");
  assert.equal((await tasks.getTask(taskId)).taskDefName, "js_nobody");
  await tasks.addTaskLog(taskId, "somebody looked");
  assert.match((await tasks.getTaskLogs(taskId))[0].log, /somebody looked/);
  assert.equal((await tasks.getQueueSizeForTask(["js_nobody"])).js_nobody, 1);
  assert.deepEqual(await tasks.getTaskPollData("js_nobody"), []);
  const page = await tasks.search(0, 10, "", "*", "taskType = 'js_nobody'");
  assert.deepEqual(page.results.map((one) => one.taskId), [taskId]);
  await tasks.updateTaskResult(workflowId, "lonely", "COMPLETED", { by: "hand" });
  assert.equal((await ended(workflowId)).status, "COMPLETED");
});

await main();
