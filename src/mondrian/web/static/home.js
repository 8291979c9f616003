// The page that photos are sent from: chosen, dropped or pasted, several at once, each with its
// percent and its own refusal.

import { localTimes, main, randomWord, root, setText } from "./page.js";

const KNOWN = /\.(jpe?g|png|webp|hei[cf]|tiff?|avif|dng|cr[23]|nef|arw|raf|orf|rw2)$/i;
const REMEMBERED = "mondrian advisors";
const MAX_RESENT = 5;
const form = document.getElementById("send");
const chooser = document.getElementById("photos");
const list = document.getElementById("files");
const said = document.getElementById("said");
const button = form.querySelector("[type=submit]");
const chosen = [];
let isSending = false;

chooser.multiple = true;
chooser.required = false;
chooser.removeAttribute("name");  // what was chosen is sent from the list
localTimes();
recallAdvisors();

chooser.addEventListener("change", () => { add(chooser.files); chooser.value = ""; });
form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
form.addEventListener("change", rememberAdvisors);
addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) { event.preventDefault(); add(event.clipboardData.files); }
});
addEventListener("dragover", (event) => {
  if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
addEventListener("drop", (event) => {
  document.body.classList.remove("dropping");
  if (!event.dataTransfer?.files.length) return;
  event.preventDefault();
  add(event.dataTransfer.files);
});
addEventListener("beforeunload", (event) => { if (isSending) event.preventDefault(); });

function add(files) {
  for (const file of files) {
    const entry = { file, key: randomWord(), state: "chosen", row: document.createElement("li") };
    const name = document.createElement("strong");
    name.textContent = file.name || "photo";
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "Remove";
    remove.setAttribute("aria-label", `Remove ${name.textContent}`);
    remove.addEventListener("click", () => drop(entry));
    const note = document.createElement("p");
    note.className = "quiet";
    note.textContent = size(file.size);
    Object.assign(entry, { name, remove, note });
    entry.row.append(name, remove, note);
    list.append(entry.row);
    chosen.push(entry);
    const problem = check(file);
    if (problem) refuse(entry, problem);
  }
  tell();
}

function check(file) {
  const most = Number(main().dataset.maxBytes);
  if (!file.size) return "The file is empty. Copy it again from its source.";
  if (file.size > most) {
    return `Over ${most / 1e6} MB. Export the photo as JPEG or HEIC at a lower quality and try again.`;
  }
  if (!file.type.startsWith("image/") && !KNOWN.test(file.name)) {
    return "Not a photo that Mondrian reads. Export it as JPEG, PNG, WebP, HEIC or TIFF.";
  }
  return "";
}

function drop(entry) {
  entry.request?.abort();
  entry.state = "removed";
  entry.row.remove();
  chosen.splice(chosen.indexOf(entry), 1);
  tell();
}

function refuse(entry, why) {
  entry.state = "refused";
  entry.row.className = "refused";
  entry.note.className = "refusal";
  setText(entry.note, why);
}

function tell() {
  const ready = chosen.filter((entry) => entry.state === "chosen").length;
  setText(said, ready ? `${ready} ${ready === 1 ? "photo" : "photos"} chosen.` : "");
}

async function send() {
  if (isSending) return;
  const waiting = chosen.filter((entry) => entry.state === "chosen");
  if (!waiting.length) {
    setText(said, "Choose a photo first.");
    chooser.focus();
    return;
  }
  const advisors = advisorBoxes().filter((box) => box.checked).map((box) => box.value);
  if (!advisors.length) {
    setText(said, "Choose an advisor, too.");
    advisorBoxes()[0].focus();
    return;
  }
  isSending = button.disabled = true;
  for (const entry of waiting) {
    if (entry.state === "chosen") await upload(entry, advisors.join(","));
  }
  isSending = button.disabled = false;
  lead(chosen);
}

/** Go on to the job, or to all of them; stay where something was refused. */
function lead(entries) {
  const sent = entries.filter((entry) => entry.state === "sent");
  if (entries.length === 1 && sent.length === 1) location.assign(sent[0].url);
  else if (sent.length && sent.length === entries.length) location.assign(`${root()}/jobs`);
  else setText(said, sent.length ? `${sent.length} sent; the others say what is wrong.` : "Nothing was sent.");
}

async function upload(entry, advisors) {
  setText(entry.remove, "Cancel");
  entry.remove.setAttribute("aria-label", `Cancel ${entry.name.textContent}`);
  for (let turn = 0; turn <= MAX_RESENT; turn++) {
    if (entry.state === "removed") return;
    const answer = await post(entry, advisors);
    if (entry.state === "removed") return;
    if (answer.status === 201) return arrive(entry, answer.body.job_id);
    if (answer.status === 401) return location.reload();
    const isPassing = !answer.status || answer.status === 502 || answer.status === 503 || answer.status === 504;
    if (!isPassing || turn === MAX_RESENT) {
      return refuse(entry, answer.body?.error ?? "The server did not answer. Try again in a moment.");
    }
    setText(entry.note, "The line was lost; sending it again…");
    await new Promise((done) => setTimeout(done, 1000 * 2 ** turn));
  }
}

function post(entry, advisors) {
  return new Promise((resolve) => {
    const body = new FormData();
    body.append("advisor", advisors);
    for (const name of ["intent", "genre"]) body.append(name, form.elements[name].value);
    body.append("image", entry.file, entry.file.name || "photo");
    const request = entry.request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("Idempotency-Key", entry.key);  // sent twice, it is one job
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) setText(entry.note, `${Math.floor(100 * event.loaded / event.total)} % sent`);
    };
    request.upload.onload = () => setText(entry.note, "100 % sent; the photo is being read…");
    request.onloadend = () => resolve({ status: request.status, body: parse(request.responseText) });
    request.send(body);
  });
}

function parse(text) {
  try { return JSON.parse(text); } catch { return null; }
}

function arrive(entry, id) {
  entry.state = "sent";
  entry.url = `${root()}/jobs/${id}`;
  entry.row.className = "sent";
  entry.remove.remove();
  const link = document.createElement("a");
  link.href = entry.url;
  link.textContent = "Watch its critique";
  const picture = document.createElement("img");
  picture.src = `${root()}/photo/${id}.jpg?width=320`;
  picture.alt = "";
  entry.note.replaceChildren(link);
  entry.row.append(picture);
}

function size(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} KB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function advisorBoxes() {
  return [...form.querySelectorAll("[name=advisor]")];
}

function rememberAdvisors(event) {
  if (event.target.name !== "advisor") return;
  const ids = advisorBoxes().filter((box) => box.checked).map((box) => box.value);
  try { localStorage.setItem(REMEMBERED, JSON.stringify(ids)); } catch { /* it is forgotten, then */ }
}

function recallAdvisors() {
  let ids = null;
  try { ids = JSON.parse(localStorage.getItem(REMEMBERED)); } catch { /* as if there were none */ }
  const boxes = advisorBoxes();
  if (!Array.isArray(ids) || !boxes.some((box) => ids.includes(box.value))) return;
  for (const box of boxes) box.checked = ids.includes(box.value);
}
