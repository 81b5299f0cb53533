// What the SDK's builders make is registered, run, and does what it says.

import assert from "node:assert/strict";
import { createServer } from "node:http";

import { OWNER, ended, executor, main, sdk, test } from "./harness.mjs";

const built = (name) => new sdk.ConductorWorkflow(executor, name, 1).ownerEmail(OWNER);

async function run(definition, input = {}) {
  await definition.register();
  return ended(await definition.startWorkflow(input));
}

test("inline scripts and outputs", async () => {
  const double = sdk.inlineTask("double", "(function () { return $.n * 2; })()");
  double.inputParameters.n = "${workflow.input.n}";
  const execution = await run(
    built("js_inline").add(double).outputParameter("twice", "${double.output.result}"),
    { n: 21 },
  );

  assert.equal(execution.status, "COMPLETED");
  assert.deepEqual(execution.output, { twice: 42 });
});

test("switch takes its case and else its default", async () => {
  const definition = built("js_switch")
    .add(
      sdk.switchTask(
        "which",
        "${workflow.input.kind}",
        { warm: [sdk.setVariableTask("warm", { chosen: "warm" })] },
        [sdk.terminateTask("stop", "FAILED", "no such kind")],
      ),
    )
    .outputParameter("chosen", "${workflow.variables.chosen}");
  const warm = await run(definition, { kind: "warm" });
  const other = await run(definition, { kind: "other" });

  assert.deepEqual(["COMPLETED", { chosen: "warm" }], [warm.status, warm.output]);
  assert.deepEqual(["FAILED", "no such kind"], [other.status, other.reasonForIncompletion]);
});

test("fork runs its branches and join waits for them", async () => {
  const definition = built("js_fork").fork([
    [sdk.jsonJqTask("left", "{n: 1}")],
    [sdk.jsonJqTask("right", "{n: 2}")],
  ]);
  definition.outputParameter("all", "${__join_1.output}");
  const execution = await run(definition);

  assert.equal(execution.status, "COMPLETED");
  assert.deepEqual(Object.keys(execution.output.all).sort(), ["left", "right"]);
  assert.deepEqual(execution.output.all.right.result, { n: 2 });
});

test("dynamic fork makes its branches of an input", async () => {
  const fork = sdk.dynamicForkTask("fan");
  fork.inputParameters = {
    dynamicTasks: "${workflow.input.tasks}",
    dynamicTasksInput: "${workflow.input.inputs}",
  };
  const definition = built("js_dynamic_fork")
    .add(fork)
    .add({ name: "gather", taskReferenceName: "gather", type: "JOIN", joinOn: [] })
    .outputParameter("all", "${gather.output}");
  const branch = (name) => ({
    name, taskReferenceName: name, type: "JSON_JQ_TRANSFORM",
    inputParameters: { queryExpression: ".n * 10" },
  });
  const execution = await run(definition, {
    tasks: [branch("a"), branch("b")],
    inputs: { a: { n: 1, queryExpression: ".n * 10" }, b: { n: 2, queryExpression: ".n * 10" } },
  });

  assert.equal(execution.status, "COMPLETED", execution.reasonForIncompletion);
  assert.deepEqual([10, 20], [execution.output.all.a.result, execution.output.all.b.result]);
});

test("do while repeats as often as newLoopTask says", async () => {
  const definition = built("js_loop").add(
    sdk.newLoopTask("loop", 3, [sdk.setVariableTask("step", { at: "${loop.output.iteration}" })]),
  );
  const execution = await run(definition);

  assert.equal(execution.status, "COMPLETED", execution.reasonForIncompletion);
  assert.equal(
    execution.tasks.find((task) => task.referenceTaskName === "loop").outputData.iteration, 3,
  );
  assert.deepEqual(
    execution.tasks.map((task) => task.referenceTaskName).filter((name) => name !== "loop"),
    ["step__1", "step__2", "step__3"],
  );
});

test("sub-workflows by name and embedded", async () => {
  const child = built("js_child")
    .add(sdk.jsonJqTask("answer", ".word"))
    .outputParameter("word", "${workflow.input.word}");
  await child.register();
  const byName = sdk.subWorkflowTask("named", "js_child", 1);
  byName.inputParameters = { word: "named" };
  const embedded = child.toSubWorkflowTask("embedded");
  embedded.inputParameters = { word: "embedded" };
  const execution = await run(
    built("js_parent")
      .add([byName, embedded])
      .outputParameters({ one: "${named.output.word}", two: "${embedded.output.word}" }),
  );

  assert.equal(execution.status, "COMPLETED", execution.reasonForIncompletion);
  assert.deepEqual(execution.output, { one: "named", two: "embedded" });
});

test("wait for a duration, then go on", async () => {
  const execution = await run(
    built("js_wait")
      .add(sdk.waitTaskDuration("pause", "1 seconds"))
      .add(sdk.setVariableTask("after", { done: true })),
  );
  const [pause] = execution.tasks;

  assert.equal(execution.status, "COMPLETED");
  assert.ok(pause.endTime - pause.startTime >= 1000, `${pause.endTime - pause.startTime} ms`);
});

test("http asks and keeps the answer", async () => {
  const server = createServer((request, response) => {
    response.writeHead(200, { "Content-Type": "application/json" });
    response.end(JSON.stringify({ path: request.url, site: request.headers["x-site"] }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const uri = `http://127.0.0.1:${server.address().port}/reading?n=1`;
    const execution = await run(
      built("js_http").add(
        sdk.httpTask("ask", { uri, method: "GET", headers: { "x-site": "roof" } }),
      ),
    );
    const { response } = execution.tasks[0].outputData;

    assert.equal(execution.status, "COMPLETED", execution.reasonForIncompletion);
    assert.equal(response.statusCode, 200);
    assert.deepEqual(response.body, { path: "/reading?n=1", site: "roof" });
  } finally {
    server.close();
  }
});

test("the task types of the builders are all accepted", async () => {
  const definition = built("js_catalogue").add([
    sdk.simpleTask("simple", "js_some_task", {}),
    sdk.dynamicTask("dynamic", "${workflow.input.type}"),
    sdk.eventTask("event", "conductor", "js_catalogue"),
    sdk.humanTask("human"),
    sdk.httpPollTask("poll", { http_request: { uri: "http://127.0.0.1:9/", method: "GET" } }),
    sdk.startWorkflowTask("start", "js_child"),
    sdk.pullWorkflowMessages("messages"),
    sdk.waitTaskUntil("until", "2038-01-01 00:00"),
  ]);
  await definition.register();
  const kept = await sdk.MetadataClient.prototype.getWorkflowDef.call(
    new sdk.MetadataClient(executor._client), "js_catalogue", 1,
  );

  assert.deepEqual(
    kept.tasks.map((task) => task.type),
    definition.toWorkflowDef().tasks.map((task) => task.type),
  );
});

await main();
