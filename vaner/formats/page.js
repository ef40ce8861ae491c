// In: the page as it was written. Out: search, filter by type, place in the list, keys. Without it the page is whole.
"use strict";
{
  const page = document.documentElement;
  const articles = [...document.querySelectorAll("article")];
  const entries = new Map([...document.querySelectorAll(".contents a")].map((a) => [a.hash.slice(1), a]));
  const search = document.querySelector("[type=search]");
  const boxes = [...document.querySelectorAll(".types input")];
  const only = document.getElementById("only");
  const shown = document.querySelector(".shown");
  const total = shown ? shown.textContent : "";
  page.classList.add("scripted");

  // What is searched: text, id, and what the tooltips say (types, concept ids).
  const texts = new Map();
  const text = (article) => {
    if (!texts.has(article)) {
      const told = [...article.querySelectorAll("mark")].map((mark) => mark.title);
      texts.set(article, `${article.textContent}\n${told.join("\n")}`.toLowerCase());
    }
    return texts.get(article);
  };

  // Only what is on the screen is highlighted: a short word stands in thousands of places.
  const visible = new Set();
  const highlight = () => {
    if (!CSS.highlights) return;
    const wanted = search.value.trim().toLowerCase();
    const ranges = [];
    for (const part of wanted ? [...visible].flatMap((one) => [...one.querySelectorAll("h2, p")]) : []) {
      const nodes = [];
      const walker = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
      let length = 0;
      for (let node; (node = walker.nextNode()); length += node.length) nodes.push([node, length]);
      const place = (at, atEnd) => {
        const [node, start] = nodes.findLast((one) => (atEnd ? one[1] < at : one[1] <= at));
        return [node, at - start];
      };
      const words = part.textContent.toLowerCase();
      // A few letters are longer in lower case; their places would be wrong.
      if (words.length !== length) continue;
      for (let at = words.indexOf(wanted); at >= 0; at = words.indexOf(wanted, at + wanted.length)) {
        const range = new Range();
        range.setStart(...place(at, false));
        range.setEnd(...place(at + wanted.length, true));
        ranges.push(range);
      }
    }
    CSS.highlights.set("found", new Highlight(...ranges));
  };

  const filter = () => {
    const wanted = search.value.trim().toLowerCase();
    const on = new Set(boxes.filter((box) => box.checked).map((box) => box.id));
    let count = 0;
    for (const article of articles) {
      const has = !only.checked || article.dataset.types.split(" ").some((type) => on.has(type));
      const show = has && (!wanted || text(article).includes(wanted));
      article.hidden = !show;
      entries.get(article.id).parentElement.hidden = !show;
      count += show;
    }
    shown.textContent =
      count === articles.length ? total : `${count.toLocaleString("en")} of ${total}`;
    highlight();
  };

  let waiting;
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 120);
  };

  // The first document on the screen is the current one.
  let current;
  const seen = new IntersectionObserver((changes) => {
    for (const change of changes) change.isIntersecting ? visible.add(change.target) : visible.delete(change.target);
    const first = articles.find((article) => visible.has(article));
    if (first && first !== current) {
      if (current) entries.get(current.id).removeAttribute("aria-current");
      current = first;
      const entry = entries.get(first.id);
      entry.setAttribute("aria-current", "true");
      const list = entry.closest(".contents");
      const [top, bottom] = [entry.offsetTop - list.offsetTop, entry.offsetTop - list.offsetTop + entry.offsetHeight];
      if (top < list.scrollTop) list.scrollTop = top;
      if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
    }
    highlight();
  }, { rootMargin: "-16px 0px 0px 0px" });

  if (shown) {
    articles.forEach((article) => seen.observe(article));
    search.addEventListener("input", soon);
    for (const box of [...boxes, only]) box.addEventListener("change", soon);
    for (const [id, on] of [["all", true], ["none", false]]) {
      document.getElementById(id)?.addEventListener("click", () => {
        for (const box of boxes) box.checked = on;
        filter();
      });
    }
    addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target === search) {
        if (event.key === "Escape") search.blur();
        return;
      }
      const step = { j: 1, k: -1 }[event.key];
      if (event.key === "/") {
        event.preventDefault();
        search.focus();
      } else if (step) {
        const left = articles.filter((article) => !article.hidden);
        const next = left[left.indexOf(current) + step];
        if (next) next.scrollIntoView({ block: "start" });
      }
    });
    // A browser that goes back keeps what was typed.
    filter();
  }
}
