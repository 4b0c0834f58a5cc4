import { mount } from "svelte";
import { session, watchRequests } from "./access/session.svelte.ts";
import App from "./App.svelte";
import "./styles/tokens.css";
import "./styles/base.css";

watchRequests();
void session.ask();

const target = document.getElementById("app");
if (target === null) throw new Error("index.html has no #app");
mount(App, { target });
