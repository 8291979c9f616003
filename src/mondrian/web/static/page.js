// What all pages share: local times, and small tools.

export const main = () => document.getElementById("main");
export const root = () => main().dataset.root ?? "";

let when = null;

/** Show local times, once the page is painted: the first use of `Intl` takes a browser 30 ms. */
export function localTimes(within = document) {
  if (when) showTimes(within);
  else requestAnimationFrame(() => setTimeout(showTimes, 0, within));
}

function showTimes(within) {
  when ??= new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const time of within.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (!Number.isNaN(moment.valueOf())) time.textContent = when.format(moment);
  }
}

export function setText(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/** "40 s", "3 minutes", "2 hours": as exact as an estimate is. */
export function span(seconds) {
  if (seconds < 20) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 90) return `${5 * Math.round(seconds / 5)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} minutes`;
  return `${Math.round(seconds / 3600)} hours`;
}

/** Fetch a page of ours as a document. Throws where no server answers. */
export async function fetchPage(url, options = {}) {
  const response = await fetch(url, { headers: { Accept: "text/html" }, ...options });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return { response, page };
}

/** A random word, also where the page did not come over https. */
export function randomWord() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

document.documentElement.classList.add("scripted");
