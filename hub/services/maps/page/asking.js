// Requests to the page's own service, and elements of the page.
export async function told(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) {
    const error = new Error(body.detail || body.description || `The service answers ${response.status}.`);
    throw Object.assign(error, { status: response.status });
  }
  return body;
}

export const get = (path) => fetch(path).then(told);
export const send = (method, path, body) =>
  fetch(path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }).then(told);
export const post = (path, body) => send("POST", path, body);

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
