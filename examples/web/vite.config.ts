import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const server = "http://127.0.0.1:3000";

export default defineConfig({
  plugins: [react()],
  build: { modulePreload: { polyfill: false }, assetsInlineLimit: 0 },
  server: {
    host: "127.0.0.1",
    // `npm run dev` takes Better Auth from `npm start`, which accepts requests of its own origin only.
    proxy: { "/api/auth": { target: server, headers: { Origin: server } } },
    fs: { allow: [".", "../../generated/client"] },
  },
});
