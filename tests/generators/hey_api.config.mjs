export default {
  input: "openapi.yaml",
  output: "generated",
  logs: { level: "error", file: false },
  plugins: [
    "@hey-api/client-fetch",
    // Each answer is validated with zod.
    { name: "@hey-api/sdk", validator: { response: "zod" } },
    "zod",
    "@tanstack/react-query",
  ],
};
