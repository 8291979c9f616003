// The eight cards of each advisor, as they grow. What the model wrote is set as text, never as HTML.

import { setText } from "./page.js";

const pending = new Map();
let isDue = false;

/** Note a part of the report; it is drawn with the next frame, whatever comes until then. */
export function takePart(event) {
  const name = event.dimension?.name ?? "";
  pending.set(`${event.advisor} ${name}`, event);
  if (isDue) return;
  isDue = true;
  if (document.hidden) setTimeout(draw, 100); else requestAnimationFrame(draw);
}

/** Forget what is on the cards: another attempt began. */
export function clearCards(main) {
  pending.clear();
  for (const card of main.querySelectorAll(".card")) fill(card, { name: "", score: null }, "waiting");
  for (const line of main.querySelectorAll(".description")) { setText(line, ""); line.hidden = true; }
}

function draw() {
  isDue = false;
  for (const event of pending.values()) {
    const part = document.querySelector(`.part[data-advisor="${CSS.escape(event.advisor)}"]`);
    if (!part) continue;
    part.hidden = false;
    if (event.dimension) {
      const name = CSS.escape(event.dimension.name);
      const card = part.querySelector(`.card[data-dimension="${name}"]`);
      if (card) fill(card, event.dimension, event.dimension.score === null ? "growing" : "done");
    } else if (event.image_description) {
      const line = part.querySelector(".description");
      setText(line, event.image_description);
      line.hidden = false;
    }
  }
  pending.clear();
}

function fill(card, dimension, state) {
  const { score } = dimension;
  setText(card.querySelector(".comment"), dimension.comment ?? "");
  const advice = card.querySelector(".recommendation");
  setText(advice.querySelector(".words"), dimension.recommendation ?? "");
  advice.hidden = !dimension.recommendation;
  card.className = `card ${state}`;
  const bar = card.querySelector(".fill");
  const place = card.querySelector(".score");
  if (typeof score !== "number") {
    place.replaceChildren();
    bar.setAttribute("width", "0");
    return;
  }
  const [level, word] = score < 5.5 ? ["low", "weak"] : score < 7.5 ? ["middle", "fair"] : ["high", "strong"];
  card.classList.add(level);
  bar.setAttribute("width", (score * 10).toFixed(1));
  const figure = document.createElement("b");
  figure.textContent = score.toFixed(1);
  const rest = document.createElement("small");
  rest.textContent = ` / 10, ${word}`;
  place.replaceChildren(figure, rest);
}
