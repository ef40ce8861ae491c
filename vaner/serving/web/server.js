// In: a path, a body. Out: the server's answer, or a Failure in words. The key lives here, and nowhere else.

class Failure extends Error {}

const WORDS = {
  400: "The server could not read this.",
  404: "The server does not have this; reload the page.",
  413: "This is more than the server takes at once; send it in parts.",
  422: "The server could not read this.",
  429: "The server has too much to do.",
  503: "The server is not ready.",
  504: "This took longer than the server allows; send it in parts.",
};

let key = "";

async function request(path, { body, type, signal } = {}) {
  for (;;) {
    const sent = key;
    const headers = {};
    if (type) headers["Content-Type"] = type;
    if (sent) headers.Authorization = `Bearer ${sent}`;
    let response;
    try {
      response = await fetch(path, { method: body === undefined ? "GET" : "POST", headers, body, signal, cache: "no-store" });
    } catch (error) {
      throw unanswered(error, signal);
    }
    if (response.ok) return response;
    if (response.status !== 401) throw await refusal(response);
    // Another request may have got a key meanwhile.
    if (key === sent) await askForKey(sent ? "The server did not accept this key." : "", signal);
  }
}

// The body of an answer: `json` or `blob`.
async function read(response, as, signal) {
  try {
    return await response[as]();
  } catch (error) {
    if (error instanceof SyntaxError) throw new Failure("The server's answer cannot be read; reload the page.");
    throw unanswered(error, signal);
  }
}

function unanswered(error, signal) {
  if (signal?.aborted) return error;
  return new Failure("The server did not answer. Is it still running? Try again.");
}

async function refusal(response) {
  let said;
  try {
    said = (await response.json()).error.message;
  } catch {
    // Not from our server, such as a proxy's page: the status has to do.
  }
  if (typeof said !== "string" || !said) {
    said = WORDS[response.status] ?? `The server answered ${response.status}; its log says more.`;
  }
  const wait = Number(response.headers.get("Retry-After"));
  return new Failure(wait > 0 ? `${said} Try again in ${counted(Math.ceil(wait), "second")}.` : said);
}

let asked = null; // one question, however many requests wait for its answer

function askForKey(said, signal) {
  asked ??= new Promise((resolve, reject) => {
    const dialog = $("key");
    const done = new AbortController();
    const on = (one, name, act) => one.addEventListener(name, act, { signal: done.signal });
    const close = (settle, value) => {
      done.abort();
      $("key-value").value = "";
      asked = null;
      dialog.close();
      settle(value);
    };
    const give = (event) => {
      event.preventDefault();
      const value = $("key-value").value.trim();
      if (!/^[\x21-\x7e]+$/.test(value)) {
        $("key-said").textContent = "A key has letters, digits and signs only, without spaces.";
        return;
      }
      key = value;
      close(resolve);
    };
    const refuse = () => close(reject, new Failure("This server asks for a key; without it, it answers nothing."));
    on($("key-form"), "submit", give);
    on($("key-cancel"), "click", refuse);
    on(dialog, "cancel", refuse);
    if (signal) on(signal, "abort", () => close(reject, signal.reason));
    $("key-said").textContent = said;
    dialog.showModal();
    $("key-value").focus();
  });
  return asked;
}
