// In: a document as the server sends it. Out: its text as paragraphs, its mentions as nested <mark> elements.
//
// Overlapping mentions cannot nest, so a mention that would cross another is closed and opened again:
//
//     [breast [cancer] cell lines]        nested: as it is
//     [breast [cancer)( cell] lines]      crossing: the inner one in two pieces without a border between

const LONG = 2000; // UTF-16 units of a paragraph, after which a line end parts it; four times as many, and a space does
const mentionOf = new WeakMap(); // <mark> -> its mention

// The server counts code points, JavaScript UTF-16 units: a character outside the basic plane is one and two.
function places(text) {
  if (!/[\ud800-\udbff][\udc00-\udfff]/.test(text)) return (offset) => offset;
  const table = [];
  let at = 0;
  for (const character of text) {
    table.push(at);
    at += character.length;
  }
  table.push(at);
  return (offset) => table[offset];
}

// The mentions in order, the longest first where several start together, in UTF-16 units; those whose offsets do not
// select their text are counted in `wrong`, for one at a wrong place would be worse than none.
function mentionsOf(document) {
  const at = places(document.text);
  const mentions = [];
  let wrong = 0;
  for (const span of document.spans ?? []) {
    const [start, end] = [at(span.start), at(span.end)];
    const ranges = (span.fragments ?? []).map(([from, to]) => [at(from), at(to)]).sort((a, b) => a[0] - b[0]);
    const right = start < end && document.text.slice(start, end) === span.text;
    const inside = ranges.every(([from, to]) => start <= from && from < to && to <= end);
    if (right && inside) mentions.push({ span, start, end, ranges, marks: [] });
    else wrong += 1;
  }
  mentions.sort((a, b) => a.start - b.start || b.end - a.end || (a.span.type < b.span.type ? -1 : 1));
  return { mentions, wrong };
}

// What is shown of a mention: the whole, or its fragments and the gaps between them.
function pieces(mentions) {
  const out = [];
  for (const mention of mentions) {
    if (!mention.ranges.length) {
      out.push({ start: mention.start, end: mention.end, mention, gap: false });
      continue;
    }
    let reached = mention.start;
    for (const [start, end] of mention.ranges) {
      if (reached < start) out.push({ start: reached, end: start, mention, gap: true });
      if (reached < end) out.push({ start: Math.max(start, reached), end, mention, gap: false });
      reached = Math.max(reached, end);
    }
  }
  return out.sort((a, b) => a.start - b.start || b.end - a.end);
}

// [start, end, class] of the paragraphs: passages that the document names, else what blank lines part. Very long ones go
// on in another element, so that the browser need not lay out all of a long document at once.
function paragraphs(document) {
  const { text } = document;
  const at = places(text);
  const named = [];
  let reached = 0;
  for (const passage of document.passages ?? []) {
    const [start, end] = [at(passage.start), at(passage.end)];
    if (!(start >= reached && end >= start)) continue;
    named.push([reached, start, ""], [start, end, passage.kind === "title" ? "title" : ""]);
    reached = end;
  }
  named.push([reached, text.length, ""]);
  const out = [];
  const part = (start, end, kind) => {
    let from = start;
    while (end - from > 4 * LONG) {
      const rest = text.slice(from + 2 * LONG, from + 4 * LONG);
      const cut = [rest.search(/(?<=[.!?])\s/), rest.search(/\s/)].find((at) => at >= 0);
      if (cut === undefined) break;
      out.push([from, from + 2 * LONG + cut + 1, "on"]);
      from += 2 * LONG + cut + 1;
    }
    out.push([from, end, kind]);
  };
  for (const [start, end, kind] of named) {
    let from = start;
    for (const gap of text.slice(start, end).matchAll(/\n(?:[^\S\n]*\n\s*)?/g)) {
      const until = start + gap.index;
      const blank = gap[0].length > 1;
      if (!blank && until - from < LONG) continue;
      part(from, until, blank ? kind : "on");
      from = until + gap[0].length;
    }
    part(from, end, kind);
  }
  return out.filter(([start, end]) => text.slice(start, end).trim());
}

// The document's text with these of its mentions marked.
function markedText(document, mentions) {
  for (const mention of mentions) mention.marks = [];
  const all = pieces(mentions);
  const out = new DocumentFragment();
  let next = 0;
  let carried = [];
  for (const [start, end, kind] of paragraphs(document)) {
    while (next < all.length && all[next].start < end) carried.push(all[next++]);
    carried = carried.filter((piece) => piece.end > start);
    const p = element("p", { className: kind, dir: "auto" });
    const depth = fillMarked(p, document.text, start, end, carried);
    if (depth > 1) p.classList.add(`n${Math.min(depth - 1, 3)}`);
    out.append(p);
  }
  if (!out.childNodes.length) out.append(element("p", { className: "none" }, "no text"));
  return out;
}

// Fills `out` with the text from `start` to `end` and the pieces in it; how deep they nest.
function fillMarked(out, text, start, end, inside) {
  const within = inside.flatMap((piece) => [piece.start, piece.end]).filter((at) => start < at && at < end);
  const borders = [...new Set([start, end, ...within])].sort((a, b) => a - b);
  let deepest = 0;
  const stack = []; // open elements: { piece, mark, depth }, the outermost first
  const open = (piece, at) => {
    const mark = markOf(piece, at);
    (stack.at(-1)?.mark ?? out).append(mark);
    stack.push({ piece, mark, depth: 0 });
  };
  const close = (at) => {
    const { piece, mark, depth } = stack.pop();
    deepest = Math.max(deepest, depth + 1);
    // Only now is it known whether this element reaches the end of its mention, and how much it holds.
    if (at < piece.mention.end) mark.classList.add("to");
    if (depth) mark.classList.add(`d${Math.min(depth, 3)}`);
    const outer = stack.at(-1);
    if (outer) outer.depth = Math.max(outer.depth, depth + 1);
    return piece;
  };
  let next = 0;
  for (let i = 0; i + 1 < borders.length; i++) {
    const at = borders[i];
    const crossing = [];
    while (stack.some(({ piece }) => piece.end <= at)) {
      const piece = close(at);
      if (piece.end > at) crossing.push(piece);
    }
    for (const piece of crossing.reverse()) open(piece, at);
    while (next < inside.length && inside[next].start <= at) {
      if (inside[next].end > at) open(inside[next], at);
      next += 1;
    }
    (stack.at(-1)?.mark ?? out).append(text.slice(at, borders[i + 1]));
  }
  while (stack.length) close(end);
  return deepest;
}

function markOf({ mention, gap }, at) {
  const mark = element("mark");
  if (gap) mark.classList.add("gap");
  if (at > mention.start) mark.classList.add("from");
  mark.dataset.type = mention.span.type;
  colour(mark, mention.span.type);
  // One place to go to for each mention, however many pieces it has.
  if (!mention.marks.length) mark.tabIndex = -1;
  mention.marks.push(mark);
  mentionOf.set(mark, mention);
  return mark;
}
