// In: what the reader typed, dropped and chose. Out: one request at a time, and its answer shown or downloaded.

const EXAMPLE = `Ivacaftor in cystic fibrosis: a short report

Two sisters with cystic fibrosis, compound heterozygous for p.Gly551Asp and p.Phe508del in CFTR, received ivacaftor. \
Chloride in sweat fell within a week, and neither had a pulmonary exacerbation in the following year. The older one, \
who also took rifampicin for tuberculosis, needed a larger dose: rifampicin induces CYP3A4 in liver cells. In Fischer \
rat thyroid cells, the drug opened the mutant channel as it does in human bronchial epithelium.`;

let model = null;
let running = null; // the AbortController of the request on its way
let file = null;

function say(words) {
  $("status").textContent = words;
}

function complain(words) {
  $("error").textContent = words;
}

// Runs a task; only one at a time, so that an older answer never replaces a newer one.
async function work(words, task) {
  if (running) return;
  running = new AbortController();
  const { signal } = running;
  complain("");
  say(words);
  const began = performance.now();
  $("status").parentElement.classList.add("busy");
  const clock = setInterval(() => {
    $("clock").textContent = `${Math.round((performance.now() - began) / 1000)} s`;
  }, 1000);
  $("cancel").hidden = false;
  for (const button of idle()) button.ariaDisabled = "true";
  try {
    say(await task(signal));
  } catch (error) {
    say(signal.aborted ? "Cancelled." : "");
    if (!signal.aborted) complain(error instanceof Failure ? error.message : `This page failed: ${error.message}`);
  }
  running = null;
  clearInterval(clock);
  $("clock").textContent = "";
  $("status").parentElement.classList.remove("busy");
  // Who pressed Cancel goes on from the button that starts again.
  if (document.activeElement === $("cancel")) $("tag").focus();
  $("cancel").hidden = true;
  for (const button of idle()) button.ariaDisabled = null;
}

const idle = () => [$("tag"), ...document.querySelectorAll("[data-format]")];

async function tag(signal) {
  const types = chosenTypes();
  const dataset = $("dataset").value;
  const began = performance.now();
  let response;
  if (file) {
    const query = new URLSearchParams([["filename", file.name], ...types.map((type) => ["types", type])]);
    if (dataset) query.append("dataset", dataset);
    if ($("link").checked) query.append("link", "true");
    query.append("format", "json");
    const type = "application/octet-stream";
    response = await request(`v1/tag/file?${query}`, { body: file, type, signal });
  } else {
    const body = { text: $("text").value, types, dataset: dataset || null, link: $("link").checked, format: "json" };
    response = await request("v1/tag", { body: JSON.stringify(body), type: "application/json", signal });
  }
  const answer = await read(response, "json", signal);
  if (!answer.documents?.every?.((one) => typeof one.text === "string")) {
    throw new Failure("The server's answer has no documents; reload the page.");
  }
  show(answer);
  $("result").focus({ preventScroll: true });
  // Below the panel on a narrow screen, beside it on a wide one.
  $("result").scrollIntoView();
  const seconds = (performance.now() - began) / 1000;
  return `${$("summary").textContent} in ${seconds.toFixed(seconds < 1 ? 2 : 1)} s.`;
}

// What a file could not hold, as the server says it beside the file.
function remarksOf(response) {
  try {
    return JSON.parse(response.headers.get("Vaner-Remarks") ?? "[]").map(String);
  } catch {
    return ["The server's remarks on it cannot be read."];
  }
}

async function download(format, name, signal) {
  const body = JSON.stringify({ documents: documents(), format });
  const response = await request("v1/convert", { body, type: "application/json", signal });
  const said = response.headers.get("Content-Disposition") ?? "";
  const blob = await read(response, "blob", signal);
  const href = URL.createObjectURL(blob);
  const link = element("a", { href, download: /filename="([^"/\\]+)"/.exec(said)?.[1] ?? `tagged.${format}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
  return [`${name} is downloaded.`, ...remarksOf(response)].join(" ");
}

const boxes = () => [...$("types-chips").querySelectorAll("input")];
const chosenTypes = () => boxes().filter((box) => box.checked).map((box) => box.value);

function addType(name, checked) {
  const known = boxes().find((box) => box.value === name);
  if (known) {
    known.checked = checked;
    return;
  }
  const box = element("input", { type: "checkbox", value: name, checked });
  $("types-chips").append(colour(element("label", {}, box, element("bdi", {}, name)), name));
}

function countTypes() {
  $("types-count").textContent = `${chosenTypes().length} of ${counted(boxes().length, "type")}`;
}

function choose(names) {
  for (const box of boxes()) box.checked = !names || names.includes(box.value);
  countTypes();
}

function chooseDataset() {
  const types = model.datasets?.[$("dataset").value];
  for (const name of types ?? []) addType(name, true);
  choose(types);
  $("dataset-help").textContent = types
    ? `It annotates ${types.join(", ")}.`
    : "A corpus that the model was trained on, where the text is like it.";
}

async function start(signal) {
  const { models } = await read(await request("v1/models", { signal }), "json", signal);
  [model] = models ?? [];
  if (!model) throw new Failure("The server names no model; its log says why.");
  $("model").textContent = model.name;
  for (const type of model.types) addType(type, true);
  const listed = (model.listed ?? []).filter((name) => !model.types.includes(name));
  $("types-add").hidden = !model.allow_new_types && !listed.length;
  $("type-names").replaceChildren(...listed.map((value) => element("option", { value })));
  $("links").hidden = !model.links;
  $("link").checked = Boolean(model.links);
  const names = Object.keys(model.datasets ?? {});
  $("datasets").hidden = !names.length;
  const options = names.map((name) => element("option", { value: name }, name));
  $("dataset").replaceChildren(element("option", { value: "" }, "no dataset: any text"), ...options);
  chooseDataset();
  return "";
}

const BEGINNING = "Asking the server what it knows\u2026";

async function submit() {
  if (running) return;
  if (!model) await work(BEGINNING, start);
  if (!model) return;
  if (!file && !$("text").value.trim()) {
    say("");
    complain("Paste a text first, or choose a file.");
    $("text").focus();
  } else if (!chosenTypes().length) {
    say("");
    complain("Choose at least one type.");
    (boxes()[0] ?? $("type-name")).focus();
  } else await work("Tagging\u2026", tag);
}

function takeFiles(files) {
  if (files.length > 1) {
    complain("Choose one file at a time; put several documents in one file, or ask the server by itself.");
    return;
  }
  [file = null] = files;
  complain("");
  $("chosen").hidden = !file;
  $("typed").hidden = Boolean(file);
  if (!file) return;
  $("file-name").textContent = file.name;
  $("file-size").textContent = `${Math.max(1, Math.round(file.size / 1024)).toLocaleString("en")} KB`;
  say(`${file.name} is chosen.`);
}

function newType() {
  const name = $("type-name").value.trim();
  if (!name) return;
  addType(name, true);
  countTypes();
  $("type-name").value = "";
  say(`${name} is added.`);
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    submit();
  }
});
$("cancel").addEventListener("click", () => running?.abort());
$("example").addEventListener("click", () => {
  $("text").value = EXAMPLE;
  $("text").focus();
});
$("file").addEventListener("change", () => {
  if ($("file").files.length) takeFiles([...$("file").files]);
  $("file").value = "";
});
$("remove").addEventListener("click", () => {
  takeFiles([]);
  say("");
  $("text").focus();
});
$("types-chips").addEventListener("change", countTypes);
$("types-all").addEventListener("click", () => choose());
$("types-none").addEventListener("click", () => choose([]));
$("type-button").addEventListener("click", newType);
$("type-name").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  newType();
});
$("dataset").addEventListener("change", chooseDataset);
for (const button of document.querySelectorAll("[data-format]")) {
  const name = button.textContent;
  button.addEventListener("click", () =>
    work(`Writing ${name}\u2026`, (signal) => download(button.dataset.format, name, signal)),
  );
}

// A file may be dropped anywhere; dragged text goes where it is dropped.
const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
addEventListener("drop", (event) => {
  document.body.classList.remove("dropping");
  if (!carriesFiles(event)) return;
  event.preventDefault();
  takeFiles([...event.dataTransfer.files]);
});

work(BEGINNING, start);
