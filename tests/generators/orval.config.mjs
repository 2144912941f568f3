const input = "./openapi.yaml";

export default {
  fetch: {
    input,
    output: {
      target: "generated/api.ts",
      schemas: "generated/models",
      client: "fetch",
      // In the mode `single`, the file for msw does not import the types that it uses.
      mode: "split",
      mock: true,
      baseUrl: { runtime: "process.env.BASE_URL" },
      // Its mock makes letters of a text that has both lengths, whatever the pattern is.
      override: { mock: { properties: { etag: () => '"1"' } } },
    },
  },
  zod: { input, output: { target: "generated/zod.ts", client: "zod" } },
};
