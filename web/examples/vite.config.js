// All examples as one site. One of them alone needs its own plugin, and nothing else.
import { svelte } from "@sveltejs/vite-plugin-svelte";
import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vite";

const isCustomElement = (tag) => tag.startsWith("leadout-");
const pages = ["react", "vue", "svelte", "ai-sdk", "langchain", "openai"];

export default defineConfig({
  plugins: [vue({ template: { compilerOptions: { isCustomElement } } }), svelte()],
  build: {
    chunkSizeWarningLimit: 1000, // in kB; LangChain's core alone has more than the 500 that Vite warns of
    rolldownOptions: {
      input: {
        ...Object.fromEntries(pages.map((name) => [name, `${name}/index.html`])),
        sw: "openai/sw.js",
      },
      output: {
        // A service worker's address stays, beside the page that it serves.
        entryFileNames: ({ name }) => (name === "sw" ? "openai/sw.js" : "assets/[name]-[hash].js"),
      },
    },
  },
});
