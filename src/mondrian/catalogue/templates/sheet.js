// The filters of a contact sheet: alone in a file, or on a page of the service.

const sheet = document.querySelector(".sheet");
const form = document.getElementById("filters"), list = document.getElementById("cards");
const score = (card, advisor) => {
  for (let n = 1; advisor && card.hasAttribute("data-advisor-" + n); n++)
    if (card.getAttribute("data-advisor-" + n) === advisor) return +card.getAttribute("data-score-" + n);
  return +card.dataset.score;
};
form.addEventListener("input", () => {
  const wanted = new FormData(form), text = wanted.get("text").toLowerCase();
  const advisor = wanted.get("advisor") || "", least = +wanted.get("least") || 0;
  for (const name of ["overlays", "sharpness"]) sheet.classList.toggle(name, wanted.has(name));
  const cards = [...list.children];
  cards.sort((a, b) => score(b, advisor) - score(a, advisor));
  let shown = 0;
  for (const card of cards) {
    const hides = wanted.has("best") && card.dataset.hiddenInGroup === "1";
    card.hidden = hides || score(card, advisor) < least || !card.textContent.toLowerCase().includes(text);
    shown += !card.hidden;
  }
  list.append(...cards);
  form.elements.count.value = shown + (shown === 1 ? " photo" : " photos");
});
form.addEventListener("submit", (event) => event.preventDefault());
