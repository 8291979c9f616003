// The page of a job. What it shows first is the server's; here it moves, and at the end it is
// fetched anew, so that no report is drawn twice.

import { clearCards, takePart } from "./cards.js";
import { connectOverlays } from "./overlays.js";
import { fetchPage, localTimes, main, root, setText, span } from "./page.js";
import { follow } from "./stream.js";

const SPOKEN_MS = 15000;
const FIGURES = [
  ["phase", "Doing"], ["tokens", "Tokens written"], ["tokens_per_second", "Tokens a second"],
  ["prompt_tokens", "Tokens read"], ["peak_memory_gb", "Memory, GB"],
  ["elapsed_seconds", "Seconds so far"], ["attempt", "Attempt"],
];
const ENDED = new Set(["done", "error", "cancelled"]);
let spoken = 0, stop = () => {}, update = null, isDue = false, basis = "";

function begin() {
  const page = main();
  localTimes(page);
  connectOverlays(page);
  offerCopy(page);
  if (ENDED.has(page.dataset.status)) return;
  const url = `${root()}/stream/${page.dataset.job}?include=report`;
  stop = follow(url, page.dataset.cursor, Number(page.dataset.interval) || 5, {
    event: take,
    line: (isThere) => { document.getElementById("lost").hidden = isThere; },
    gone: redraw,
  });
}

function take(type, fields) {
  switch (type) {
    case "report_partial": return takePart(fields);
    case "attempt": return clearCards(main());
    case "reset": return void redraw();
    case "thinking_update": return schedule(fields);
    case "status_update": return showStep(fields.job_data);
    case "done": return void end();
  }
}

/** Draw the newest update with the next frame. */
function schedule(fields) {
  update = fields;
  if (isDue) return;
  isDue = true;
  if (document.hidden) setTimeout(show, 100); else requestAnimationFrame(show);
}

function show() {
  isDue = false;
  const { thinking, percent, eta_seconds: eta, queue_position: place } = update;
  basis = update.basis;
  setText(document.getElementById("thinking"), thinking);
  setText(document.getElementById("left"), left(eta, place));
  const isKnown = basis !== "unknown" && percent !== null;
  showBar(isKnown ? percent : null, thinking);
  document.title = `${percent === null ? "…" : `${Math.floor(percent)} %`} · ${main().dataset.name}`;
  for (const [name, label] of FIGURES) showFigure(name, label, update[name]);
  speak(isKnown ? `${thinking} ${Math.floor(percent)} %` : thinking);
}

function left(eta, place) {
  const time = typeof eta === "number" ? `about ${span(eta)}` : "";
  if (typeof place === "number") return [`${place - 1} before yours`, time].filter(Boolean).join(", ");
  return time && `${time} left`;
}

function showBar(percent, words) {
  const bar = document.getElementById("bar");
  if (!bar) return;
  bar.setAttribute("aria-valuetext", words);
  if (percent === null) return void bar.removeAttribute("aria-valuenow");
  bar.setAttribute("aria-valuenow", percent.toFixed(0));
  bar.querySelector(".fill").setAttribute("width", percent.toFixed(2));
}

function showFigure(name, label, value) {
  const list = document.getElementById("figures");
  let row = list?.querySelector(`[data-figure="${name}"]`);
  if (!list || (value === null || value === undefined) && !row) return;
  if (!row) {
    const term = document.createElement("dt");
    term.textContent = label;
    row = document.createElement("dd");
    row.dataset.figure = name;
    list.append(term, row);
  }
  setText(row, value === null || value === undefined ? "–" : String(value));
}

/** A screen reader gets a sentence now and then, and not each of them. */
function speak(sentence) {
  const now = Date.now();
  if (now - spoken < SPOKEN_MS) return;
  spoken = now;
  setText(document.getElementById("status"), sentence);
}

function showStep(job) {
  const number = job.current_advisor;
  const steps = document.querySelectorAll("#steps li");
  steps.forEach((step, index) => {
    step.classList.toggle("over", index + 1 < number);
    if (index + 1 === number) step.setAttribute("aria-current", "step");
    else step.removeAttribute("aria-current");
  });
  const part = document.querySelectorAll(".part")[number - 1];
  if (part) part.hidden = false;
}

async function end() {
  for (let wait = 500; !(await redraw()); wait = Math.min(10000, 2 * wait)) {
    await new Promise((done) => setTimeout(done, wait));
  }
}

/** Take the page anew from the server; says whether that told the end of the story. */
async function redraw() {
  let found;
  try {
    found = await fetchPage(location.href);
  } catch {
    return false;
  }
  if (found.response.status >= 500) return false;
  if (!found.response.ok) {
    stop();
    location.reload();
    return true;
  }
  const fresh = found.page.getElementById("main");
  const isOurs = fresh?.dataset.job === main().dataset.job;
  if (!isOurs) return false;
  stop();
  const hadFocus = document.activeElement !== document.body && main().contains(document.activeElement);
  main().replaceWith(document.adoptNode(fresh));
  document.title = found.page.title;
  begin();
  if (!hadFocus && ENDED.has(main().dataset.status)) focusResult();
  return true;
}

function focusResult() {
  main().querySelector("#result, h2.result")?.focus({ preventScroll: true });
}

function offerCopy(page) {
  const button = page.querySelector("#copy");
  if (!button || !navigator.clipboard) return;  // it takes https
  button.hidden = false;
  button.addEventListener("click", async () => {
    const answer = await fetch(`${root()}/report/${page.dataset.job}?format=md`);
    await navigator.clipboard.writeText(await answer.text());
    button.textContent = "Copied";
  });
}

begin();
