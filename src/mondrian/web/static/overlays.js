// What a card says, shown on the photo: that of the card which is pointed at, focused, or in the
// middle of a small screen.

/** Let the cards in `main` show their overlays on its photo. */
export function connectOverlays(main) {
  const viewer = main.querySelector(".viewer:has(.overlays)");
  if (!viewer) return;
  let shown = null;

  function show(card) {
    if (card === shown) return;
    shown = card;
    viewer.dataset.show = card?.dataset.shows ?? "";
    load();
  }

  function load() {
    const wanted = new Set((viewer.dataset.show ?? "").split(" "));
    for (const box of viewer.querySelectorAll("[name=show]:checked")) wanted.add(box.value);
    for (const name of wanted) {
      const image = name && viewer.querySelector(`#mask-${name} image[data-href]`);
      if (!image) continue;
      image.setAttribute("href", image.dataset.href);
      image.removeAttribute("data-href");
    }
  }

  /** The card that the keyboard is on: it counts more than where the pointer happens to lie. */
  function focused() {
    return main.querySelector(".card:is(:focus-visible, :has(:focus-visible))");
  }

  viewer.addEventListener("change", load);
  const cards = [...main.querySelectorAll(".card[data-shows]")];
  if (matchMedia("(hover: hover)").matches) {
    for (const card of cards) {
      card.addEventListener("pointerenter", () => show(focused() ?? card));
      card.addEventListener("pointerleave", () => show(focused()));
    }
  } else {
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) show(entry.target);
        else if (entry.target === shown) show(null);
      }
    }, { rootMargin: "-60% 0px -30% 0px" });
    for (const card of cards) seen.observe(card);
  }
  for (const card of cards) {
    card.tabIndex = 0;
    card.addEventListener("focusin", () => show(card));
    card.addEventListener("focusout", () => show(null));
  }
}
