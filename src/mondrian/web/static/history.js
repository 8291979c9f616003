// The list of jobs: those that run move, by one request for all of them, and its end is fetched when
// it comes in sight.

import { fetchPage, localTimes, root, setText } from "./page.js";

const POLL_MS = 3000;
const MOST = 100;
const WORDS = { queued: "waiting", pending: "not started", error: "failed", cancelled: "stopped", done: "done" };
const list = document.getElementById("jobs");
const form = document.getElementById("chosen");
const count = document.getElementById("count");
let timer = 0, isAsking = false;

localTimes();
showCount();
form.addEventListener("change", showCount);
form.addEventListener("submit", (event) => {
  if (!ticked().length) {
    event.preventDefault();
    setText(count, "Tick the critiques that you mean.");
  }
});
for (const [target, name] of [[document, "visibilitychange"], [window, "pageshow"], [window, "online"]]) {
  target.addEventListener(name, poll);
}
watchEnd();
poll();

function ticked() {
  return [...form.querySelectorAll("[name=job]:checked")];
}

function showCount() {
  const many = ticked().length;
  setText(count, many ? `${many} chosen` : "");
}

async function poll() {
  clearTimeout(timer);
  const live = [...list.querySelectorAll("[data-live]")].slice(0, MOST);
  if (!live.length || document.hidden || isAsking) return;
  isAsking = true;
  try {
    const ids = live.map((row) => row.dataset.job).join(",");
    const answer = await fetch(`${root()}/jobs?format=json&limit=${MOST}&ids=${ids}`);
    if (answer.status === 401) return location.reload();
    if (answer.ok) show(live, (await answer.json()).jobs);
  } catch { /* it is asked again */ } finally {
    isAsking = false;
  }
  timer = setTimeout(poll, POLL_MS);
}

function show(rows, jobs) {
  const states = new Map(jobs.map((job) => [job.job_id, job]));
  for (const row of rows) {
    const job = states.get(row.dataset.job);
    if (!job) { row.remove(); continue; }
    row.dataset.status = job.status;
    if (job.completed_at) row.removeAttribute("data-live");
    const word = document.createElement(job.score === null ? "span" : "b");
    word.className = job.score === null ? "word" : "mini";
    word.textContent = job.score === null
      ? WORDS[job.status] ?? `${job.progress_percentage} %` : job.score.toFixed(1);
    row.querySelector(".state").replaceChildren(word);
  }
}

function watchEnd() {
  const more = document.getElementById("more");
  if (!more) return;
  const seen = new IntersectionObserver(async (entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    seen.disconnect();
    try {
      await append(more);
    } catch { /* the link is still there */ }
  }, { rootMargin: "600px" });
  seen.observe(more);
}

async function append(more) {
  const { response, page } = await fetchPage(more.href);
  if (!response.ok) return;
  const rows = [...page.querySelectorAll("#jobs > li[data-job]")];
  const there = new Set([...list.children].map((row) => row.dataset.job));
  const fresh = document.createDocumentFragment();
  fresh.append(...rows.filter((row) => !there.has(row.dataset.job)));
  localTimes(fresh);
  list.append(fresh);
  const next = page.getElementById("more");
  if (next) more.href = next.getAttribute("href");
  else more.closest(".older").remove();
  watchEnd();
  poll();
}
