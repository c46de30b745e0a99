// The plan of a job: asked of the service, which has the person's own runner make it, and shown as a table.
import { element, get, post } from "./asking.js";
import { figure, lasting, say, size } from "./words.js";

const EVERY = 1500; // milliseconds between two looks
let asked = 0;

export const forget = () => (asked += 1);

const rows = (plan) => [
  [say("units"), plan.planned < plan.units ? `${figure(plan.units)} (${say("some", { planned: plan.planned, units: plan.units })})` : figure(plan.units)],
  [say("products"), figure(plan.products)],
  [say("bytes"), size(plan.bytes)],
  [say("hours"), plan.core_hours < 0.01 ? "< 0.01" : figure(plan.core_hours)],
  [say("result"), size(plan.result)],
  [say("time"), lasting(plan.seconds)],
  ...(plan.cost === null ? [] : [[say("cost"), `${plan.cost < 0.01 ? "< 0.01" : figure(plan.cost)} ${plan.currency}`]]),
];

function quota(one) {
  const told = one.name === "read" ? size : (value) => (value > 0 && value < 0.01 ? "< 0.01" : figure(value));
  const values = { used: told(one.used ?? 0), needs: told(one.needs), limit: told(one.limit) };
  return say(one.used === null ? "after_unknown" : "after", values);
}

export function table(pairs, caption = say("caption")) {
  const lines = pairs.map(([head, text]) => element("tr", {}, element("th", { scope: "row" }, head), element("td", {}, text)));
  return element("table", {}, element("caption", {}, caption), element("tbody", {}, ...lines));
}

export function shown(plan) {
  const quotas = plan.quota.map((one) => [`${say("quota")}: ${say(one.name)}`, quota(one)]);
  const parts = [table([...rows(plan), ...quotas])];
  if (plan.quota.some((one) => (one.used ?? 0) + one.needs > one.limit)) parts.push(element("p", { class: "note over" }, say("over")));
  return parts;
}

// Ask for the plan of a request, and show first what is known at once.
export async function planned(process, body, place) {
  const mine = (asked += 1);
  const path = `ogc/processes/${encodeURIComponent(process)}`;
  const parts = await post(`${path}/check`, body);
  if (mine !== asked) return;
  const first = table([[say("units"), figure(parts.units)], [say("products"), figure(parts.products)]]);
  place.replaceChildren(first, element("p", { role: "status" }, say("planning")));
  try {
    const { planID } = await post(`${path}/plan`, body);
    for (;;) {
      const { status, message, plan } = await get(`ogc/plans/${planID}`);
      if (mine !== asked) return;
      if (plan) return place.replaceChildren(...shown(plan));
      if (status === "failed" || status === "dismissed") throw new Error(message);
      await new Promise((resolve) => setTimeout(resolve, EVERY));
    }
  } catch (error) {
    if (mine === asked) place.replaceChildren(first, element("p", { class: "note" }, say("unplanned", { why: error.message })));
  }
}
