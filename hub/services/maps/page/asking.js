// Requests to the page's own service, and elements of the page.
const FRENCH = document.documentElement.lang === "fr";

// A sentence, or a list of what is wrong with each part of the request, as pydantic tells it.
function sentence(detail) {
  if (!Array.isArray(detail)) return detail;
  return detail.map((one) => String(one.msg ?? one).replace(/^Value error, /, "")).join(" ");
}

// What a page says instead of what programs are told.
export function noSession() {
  const text = FRENCH ? "Connectez-vous : vous n'avez pas de session, ou elle est terminée." : "Log in: you have no session, or it has ended.";
  return Object.assign(new Error(text), { status: 401 });
}

export async function told(response) {
  if (response.status === 401) throw noSession();
  const body = await response.json().catch(() => ({}));
  if (!response.ok) {
    const error = new Error(sentence(body.detail) || body.description || (FRENCH ? `Le service répond ${response.status}.` : `The service answers ${response.status}.`));
    throw Object.assign(error, { status: response.status });
  }
  return body;
}

// An answer, whatever it says; that there is none is a sentence too.
export function answer(path, options) {
  return fetch(path, options).catch((error) => {
    if (error.name !== "TypeError") throw error;
    throw new Error(FRENCH ? "Le service ne répond pas : vérifiez le réseau, puis réessayez." : "The service does not answer: check the network, then try again.");
  });
}

export const get = (path) => answer(path).then(told);
export const send = (method, path, body) =>
  answer(path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }).then(told);
export const post = (path, body) => send("POST", path, body);

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
