// In: the server's answer. Out: the documents on the page, their list, filters by type, score and words.

const ROWS = 200; // of a table of mentions, until more are asked for

let views = []; // a document each: { document, mentions, kept, article, text, details, entry }
let turn = 0; // of building the texts: a newer one stops the older
let least = 0;
const off = new Set(); // types that are switched off

const keeps = ({ span }) => !off.has(span.type) && !(isNumber(span.score) && span.score < least);

function show(answer) {
  closeCard();
  $("search").value = "";
  const total = { wrong: 0 };
  views = answer.documents.map((document, index) => {
    const { mentions, wrong } = mentionsOf(document);
    total.wrong += wrong;
    return viewOf(document, mentions, index);
  });
  articles.replaceChildren(...views.map((view) => view.article));
  $("documents").hidden = views.length < 2;
  $("list").replaceChildren(...(views.length < 2 ? [] : views.map((view) => view.entry)));
  const first = $("list").querySelector("a");
  if (first) first.tabIndex = 0;
  if (views.length === 1) views[0].details.open = true;
  const remarks = (answer.remarks ?? []).map(String);
  if (total.wrong) {
    remarks.push(`${counted(total.wrong, "mention")} left out: the offsets do not select the text that the server names.`);
  }
  $("remarks").hidden = !remarks.length;
  $("remarks").querySelector("ul").replaceChildren(...remarks.map((one) => element("li", {}, one)));
  $("tools").hidden = false;
  legend();
  filter();
}

function viewOf(document, mentions, index) {
  const title = element("h3", { id: `d${index}` }, element("bdi", {}, document.id));
  const className = document.text.length > 20_000 ? "text long" : "text";
  const text = element("div", { className, role: "group", ariaLabel: "Text with its mentions marked" });
  text.setAttribute("aria-describedby", "keys");
  const details = element("details", {}, element("summary"));
  const article = element("article", { tabIndex: -1 }, title, text, details);
  if (document.failed) title.after(element("p", { className: "failed" }, `Not tagged in full: ${document.failed}`));
  article.setAttribute("aria-labelledby", title.id);
  // What one that was not yet laid out is taken for; the browser corrects it when it comes into sight.
  article.style.containIntrinsicSize = `auto ${Math.round(document.text.length / 80) * 1.85 + 7}rem`;
  const beginning = document.text.slice(0, 320).trim().split(/\s+/).join(" ");
  const link = element("a", { href: `#d${index}`, tabIndex: -1 });
  link.append(element("bdi", {}, document.id), element("b"));
  link.append(element("span", {}, beginning.length > 80 ? `${beginning.slice(0, 80).trimEnd()}\u2026` : beginning));
  const view = { document, mentions, kept: mentions, article, text, details, entry: element("li", {}, link) };
  details.addEventListener("toggle", () => table(view));
  link.addEventListener("click", (event) => {
    event.preventDefault();
    article.focus({ preventScroll: true });
    article.scrollIntoView({ block: "start" });
  });
  return view;
}

// A switch for each type, the most frequent first.
function legend() {
  const counts = new Map();
  for (const { mentions } of views) {
    for (const { span } of mentions) counts.set(span.type, (counts.get(span.type) ?? 0) + 1);
  }
  const switches = [...counts].sort((a, b) => b[1] - a[1]).map(([type, count]) => {
    const box = element("input", { type: "checkbox", checked: !off.has(type) });
    box.addEventListener("change", () => {
      if (box.checked) off.delete(type);
      else off.add(type);
      filter();
    });
    const shown = element("b", {}, count.toLocaleString("en"));
    return colour(element("label", {}, box, element("bdi", {}, type), shown), type);
  });
  $("legend").replaceChildren(...switches);
}

// Counts at once; the texts follow, what is on the screen first.
function filter() {
  let [all, kept] = [0, 0];
  for (const view of views) {
    view.kept = view.mentions.filter(keeps);
    all += view.mentions.length;
    kept += view.kept.length;
    view.entry.querySelector("b").textContent = view.kept.length.toLocaleString("en");
    view.details.querySelector("summary").textContent = counted(view.kept.length, "mention");
  }
  $("summary").textContent = `${counted(views.length, "document")}, ${counted(all, "mention")}`;
  $("kept").textContent =
    kept === all ? "" : `Shown, and in what is downloaded: ${kept.toLocaleString("en")} of ${counted(all, "mention")}.`;
  const nothing = !all ? "No mention of these types was found." : "No mention is left; lower the score or switch types on.";
  $("empty").hidden = kept > 0;
  $("empty").firstElementChild.textContent = nothing;
  search();
  build();
}

async function build() {
  const mine = ++turn;
  closeCard();
  articles.ariaBusy = "true";
  const [near, far] = [[], []];
  for (const view of views) {
    const { top, bottom } = view.article.getBoundingClientRect();
    (bottom > 0 && top < innerHeight ? near : far).push(view);
  }
  let until = performance.now() + 16;
  for (const view of [...near, ...far]) {
    view.text.replaceChildren(markedText(view.document, view.kept));
    table(view);
    if (performance.now() < until) continue;
    await pause();
    if (mine !== turn) return;
    until = performance.now() + 16;
  }
  const first = articles.querySelector("mark[tabindex]");
  if (first) first.tabIndex = 0;
  articles.ariaBusy = "false";
}

// The mentions of a document as a table, made when it is looked at.
function table(view) {
  view.details.querySelector("table")?.remove();
  view.details.querySelector("button.more")?.remove();
  if (!view.details.open || !view.kept.length) return;
  const linked = view.kept.some(({ span }) => span.concepts?.length);
  const names = ["Mention", "Type", "Score", ...(linked ? ["Concept ids"] : [])];
  const heads = names.map((name) => element("th", { scope: "col", role: "columnheader" }, name));
  const body = element("tbody", { role: "rowgroup" });
  const head = element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, ...heads));
  // The roles are said because a narrow screen lays the cells out otherwise than as a table.
  const made = element("table", { role: "table", ariaLabel: `Mentions of ${view.document.id}` }, head, body);
  const more = element("button", { type: "button", className: "more" });
  const fill = () => {
    const from = body.rows.length;
    body.append(...view.kept.slice(from, from + ROWS).map((mention) => row(mention, linked)));
    const left = view.kept.length - body.rows.length;
    more.hidden = !left;
    more.textContent = `Show ${Math.min(ROWS, left)} more of ${left.toLocaleString("en")}`;
    return body.rows[from];
  };
  more.addEventListener("click", () => fill().querySelector("button").focus());
  fill();
  view.details.append(made, more);
}

function row(mention, linked) {
  const { span } = mention;
  const go = element("button", { type: "button" }, element("bdi", {}, span.text));
  go.addEventListener("click", () => goTo(mention));
  const cells = [
    element("td", { role: "cell" }, go, element("small", {}, placeOf(span))),
    element("td", { role: "cell" }, typeOf(span.type)),
    element("td", { role: "cell", className: "number" }, scored(span.score)),
  ];
  if (linked) cells.push(element("td", { role: "cell", className: "ids" }, ...conceptsOf(span, "div")));
  return element("tr", { role: "row" }, ...cells);
}

// Text, ids, types and concept ids are searched.
function search() {
  const wanted = $("search").value.trim().toLowerCase();
  let count = 0;
  for (const view of views) {
    if (wanted && view.words === undefined) {
      const told = view.mentions.flatMap(({ span }) => [span.type, ...(span.concepts ?? []).map(({ id }) => id)]);
      view.words = [view.document.id, view.document.text, ...new Set(told)].join("\n").toLowerCase();
    }
    const has = !wanted || view.words.includes(wanted);
    view.article.hidden = view.entry.hidden = !has;
    count += has;
  }
  $("found").textContent = wanted ? `${count.toLocaleString("en")} of ${counted(views.length, "document")}` : "";
}

// What is downloaded: every document, with the mentions that are shown.
const documents = () => views.map(({ document, kept }) => ({ ...document, spans: kept.map(({ span }) => span) }));

let soon;
const later = (act) => {
  clearTimeout(soon);
  soon = setTimeout(act, 120);
};
$("search").addEventListener("input", () => later(search));
$("score").addEventListener("input", () => {
  least = Number($("score").value);
  $("score-value").textContent = least.toFixed(2);
  later(filter);
});
$("names").addEventListener("change", () => articles.classList.toggle("nameless", !$("names").checked));
arrows($("list"), "a", "ArrowUp", "ArrowDown");
const bar = document.querySelector(".bar");
new ResizeObserver(() => articles.style.setProperty("--bar-height", `${bar.offsetHeight + 12}px`)).observe(bar);
