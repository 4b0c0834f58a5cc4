import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// `base: "./"` lets the page live under any path prefix of a reverse proxy.
export default defineConfig({
  base: "./",
  plugins: [svelte()],
  build: {
    target: "es2022",
    outDir: "../src/tailrace/dashboard/static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1500,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/v1": { target: "http://127.0.0.1:8080", ws: true } } },
});
