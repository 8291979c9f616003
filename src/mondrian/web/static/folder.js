// A folder that is still being judged: how far it is every few seconds, and the new cards now and
// then, since a page of a thousand photos takes a while to make.

import { fetchPage, setText } from "./page.js";

const POLL_MS = 5000;
const CARDS_MS = 30000;
const progress = document.getElementById("progress");
const list = document.getElementById("cards");
let shown = Number(progress.dataset.done), shownAt = performance.now(), timer = 0;

for (const [target, name] of [[document, "visibilitychange"], [window, "pageshow"], [window, "online"]]) {
  target.addEventListener(name, poll);
}
poll();

async function poll() {
  clearTimeout(timer);
  if ("over" in progress.dataset || document.hidden) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "application/json" } });
    if (answer.status === 401) return location.reload();
    if (answer.ok) await show(await answer.json());
  } catch { /* it is asked again */ }
  timer = setTimeout(poll, POLL_MS);
}

async function show(state) {
  setText(progress, state.words);
  const isOver = state.done + state.failed === state.photos;
  const isDue = isOver || performance.now() - shownAt > CARDS_MS;
  if (state.done !== shown && isDue) {
    const { response, page } = await fetchPage(location.href);
    if (!response.ok) return;
    list.replaceChildren(...page.getElementById("cards").children);
    shown = state.done;
    shownAt = performance.now();
    document.getElementById("filters").dispatchEvent(new Event("input"));
  }
  if (isOver) progress.dataset.over = "";
}
