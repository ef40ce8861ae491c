// In: names of elements, types. Out: elements with text in them, never markup; a colour for each type.

const $ = (id) => document.getElementById(id);

function element(name, properties = {}, ...content) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...content);
  return made;
}

// Numbers of types in order of appearance, those of the model first, so that a type keeps its colour.
const numbers = new Map();

function colour(one, type) {
  if (!numbers.has(type)) numbers.set(type, numbers.size);
  // Steps of the golden angle: successive hues stay far apart, however many types there are.
  one.style.setProperty("--h", Math.round((210 + numbers.get(type) * 137.508) % 360));
  return one;
}

const counted = (number, one) => `${number.toLocaleString("en")} ${one}${number === 1 ? "" : "s"}`;

// Lets the browser draw and answer before more is built.
const pause = () => globalThis.scheduler?.yield?.() ?? new Promise((go) => setTimeout(go));

// One stop of the Tab key for many elements; arrow keys, Home and End go from one to the next.
function arrows(box, selector, back, forth) {
  const go = (event) => {
    const step = { [back]: -1, [forth]: 1, Home: -Infinity, End: Infinity }[event.key];
    const here = event.target.closest(selector);
    if (!step || !here || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const all = [...box.querySelectorAll(selector)].filter((one) => !one.closest("[hidden]"));
    const next = all[Math.min(Math.max(all.indexOf(here) + step, 0), all.length - 1)];
    event.preventDefault();
    if (next) next.focus();
  };
  box.addEventListener("keydown", go);
  box.addEventListener("focusin", (event) => stop(box, event.target.closest(selector), selector));
}

function stop(box, one, selector) {
  if (!one || one.tabIndex === 0) return;
  for (const other of box.querySelectorAll(`:is(${selector})[tabindex="0"]`)) other.tabIndex = -1;
  one.tabIndex = 0;
}
