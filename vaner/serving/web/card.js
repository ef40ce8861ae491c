// In: a mention under the pointer, or with the focus. Out: a card with its type, score, place and concept ids.

const card = $("card");
const articles = $("articles");
let anchor = null; // the <mark> whose card is open
let line = 0; // of those that it stands on, where the card is
let leaving; // the pointer left: the card closes soon, unless the pointer goes into it

// A concept id, and beside it where it comes from and how it was found.
function conceptOf({ id, source, match, score }) {
  const found = [match, scored(score)].filter(Boolean).join(" ");
  const told = element("small", {}, element("bdi", {}, [source, found].filter(Boolean).join(", ")));
  return [element("bdi", {}, id), " ", told];
}

const conceptsOf = (span, name) => (span.concepts ?? []).map((one) => element(name, {}, ...conceptOf(one)));

const isNumber = (value) => typeof value === "number";
const scored = (score) => (isNumber(score) ? score.toFixed(3) : "");

function placeOf(span) {
  const ranges = span.fragments?.length ? span.fragments : [[span.start, span.end]];
  return ranges.map(([start, end]) => `${start}\u2013${end}`).join(", ");
}

const typeOf = (type) => colour(element("bdi", { className: "type" }, type), type);

function described({ span }) {
  const words = element("bdi", { className: "words" }, span.text);
  const place = element("p", { className: "place" });
  if (isNumber(span.score)) {
    const filled = element("i");
    filled.style.width = `${100 * Math.min(Math.max(span.score, 0), 1)}%`;
    const meter = colour(element("span", { className: "meter", ariaHidden: "true" }, filled), span.type);
    place.append(meter, element("span", {}, `score ${scored(span.score)}`));
  }
  place.append(element("span", {}, `characters ${placeOf(span)}`));
  if (span.grounded) place.append(element("span", {}, `grounded: ${span.grounded}`));
  const one = element("section", {}, element("div", { className: "head" }, typeOf(span.type), words), place);
  const concepts = conceptsOf(span, "li");
  if (concepts.length) one.append(element("ul", {}, ...concepts));
  return one;
}

// The mention itself, then those around it.
function around(mark) {
  const found = new Set();
  for (let one = mark; one && one !== articles; one = one.parentElement) {
    if (mentionOf.has(one)) found.add(mentionOf.get(one));
  }
  return [...found];
}

// At one of the lines that a mention stands on.
function openCard(mark, on = 0) {
  clearTimeout(leaving);
  line = on;
  if (anchor !== mark) {
    closeCard();
    anchor = mark;
    const mentions = around(mark);
    card.replaceChildren(...mentions.map(described));
    for (const one of mentions[0].marks) one.classList.add("active");
    mentions[0].marks[0].setAttribute("aria-describedby", "card");
    card.showPopover();
  }
  const at = mark.getClientRects()[line];
  if (!at) return; // not laid out yet; it will be, and that scrolls
  const [width, height] = [card.offsetWidth, card.offsetHeight];
  const space = document.documentElement;
  const below = at.bottom + 6 + height <= space.clientHeight || at.top < height + 6;
  card.style.left = `${Math.max(8, Math.min(at.left, space.clientWidth - width - 8))}px`;
  card.style.top = `${below ? at.bottom + 6 : at.top - height - 6}px`;
}

function closeCard() {
  clearTimeout(leaving);
  if (!anchor) return;
  for (const one of mentionOf.get(anchor).marks) {
    one.classList.remove("active");
    one.removeAttribute("aria-describedby");
  }
  anchor = null;
  if (card.matches(":popover-open")) card.hidePopover();
}

// Back to the card of the mention that has the focus, if one has.
function leaveCard() {
  const focused = document.activeElement;
  if (mentionOf.has(focused) && focused.isConnected) openCard(focused);
  else closeCard();
}

// Goes to a mention, wherever it is.
function goTo(mention) {
  mention.marks[0]?.focus();
}

// A text that scrolls under a pointer at rest is not pointed at.
let rest = "";
const placeOfPointer = (event) => `${event.screenX} ${event.screenY}`;
addEventListener("pointermove", (event) => (rest = placeOfPointer(event)), { passive: true });
articles.addEventListener("pointerover", (event) => {
  const mark = event.target.closest("mark");
  if (!mark || event.pointerType === "touch" || placeOfPointer(event) === rest) return;
  const { clientX: x, clientY: y } = event;
  const holds = (r) => r.left <= x && x <= r.right && r.top <= y && y <= r.bottom;
  openCard(mark, Math.max(0, [...mark.getClientRects()].findIndex(holds)));
});
articles.addEventListener("pointerout", (event) => {
  if (anchor && !event.relatedTarget?.closest?.("mark")) leaving = setTimeout(leaveCard, 250);
});
card.addEventListener("pointerenter", () => clearTimeout(leaving));
card.addEventListener("pointerleave", () => (leaving = setTimeout(leaveCard, 250)));
articles.addEventListener("focusin", (event) => {
  if (mentionOf.has(event.target)) openCard(event.target);
});
articles.addEventListener("focusout", (event) => {
  if (mentionOf.has(event.target)) closeCard();
});
// A piece that is not the mention's first one takes the focus for it; whoever selects text is left alone.
articles.addEventListener("click", (event) => {
  const mark = event.target.closest("mark");
  if (!mark || !getSelection().isCollapsed) return;
  mentionOf.get(mark).marks[0].focus({ preventScroll: true });
  openCard(mark);
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeCard();
});
function follow() {
  const at = anchor?.getClientRects()[line];
  if (at && at.bottom > 0 && at.top < innerHeight) openCard(anchor, line);
  else closeCard();
}
addEventListener("scroll", follow, { passive: true });
arrows(articles, "mark[tabindex]", "ArrowLeft", "ArrowRight");
