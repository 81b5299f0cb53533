// Workload W for Restate: three durable steps, one after the other. Run with the port to listen at.
// Nothing of Baton is used here.

// The SDK wants it, and Node has it from version 22 on.
Promise.withResolvers ??= function () {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
};

const restate = await import("@restatedev/restate-sdk");

const three = async (context, payload) => {
  const first = await context.run("w1", async () => payload);
  const second = await context.run("w2", async () => first);
  return context.run("w3", async () => second);
};

// The SDK's own way to listen takes every address of the machine, so the handler is served here.
const { createServer } = await import("node:http2");
const handler = restate.createEndpointHandler({
  services: [restate.service({ name: "w", handlers: { three } })],
});
const server = createServer(handler);
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
