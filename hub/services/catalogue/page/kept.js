// Lists that this browser keeps for whoever has logged in; somebody else at the same machine has their own.
const person = document.querySelector("header .person")?.textContent ?? "";
const place = (name) => `geodes-lab:${name}:${person}`;

// What may be in it is checked by who asks: other pages of the lab may have written it.
export function recall(name) {
  try {
    const several = JSON.parse(localStorage.getItem(place(name)));
    return Array.isArray(several) ? several.filter((one) => one && typeof one === "object") : [];
  } catch {
    return [];
  }
}

export function remember(name, several) {
  try {
    localStorage.setItem(place(name), JSON.stringify(several));
  } catch {
    // The browser keeps nothing: it is there until the page closes.
  }
}

export function whenChanged(name, act) {
  window.addEventListener("storage", (event) => event.key === place(name) && act());
}
