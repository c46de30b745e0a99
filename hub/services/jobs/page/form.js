// A form of a process: a field for each input, made of its JSON schema; what is written comes back as JSON.
import { element } from "./asking.js";
import { figure, say } from "./words.js";

export const SHAPES = "geojson-feature-collection";
const LATER = new Set(["resampling"]); // few people change it

// A schema that is "this or nothing" is this one, and may stay empty; of several, the simplest counts.
function plain(schema) {
  const whole = schema.$ref ? { ...schema, ...schema.$defs?.[schema.$ref.split("/").pop()] } : schema;
  const ways = (whole.anyOf ?? whole.oneOf)?.filter((way) => way.type !== "null");
  if (!ways) return whole;
  const order = ["string", "number", "integer", "boolean", "array"];
  const [best] = [...ways].sort((a, b) => place(a, order) - place(b, order));
  return { ...best, default: whole.default, $defs: whole.$defs };
}

const place = (way, order) => (order.includes(way.type) ? order.indexOf(way.type) : order.length);

function bounds(schema) {
  const { minimum, maximum } = schema;
  if (minimum === undefined && maximum === undefined) return "";
  return `${minimum === undefined ? "" : figure(minimum)} … ${maximum === undefined ? "" : figure(maximum)}`;
}

// {name, read(): value or undefined, write(value), node}
function field(name, input) {
  const schema = plain(input.schema);
  const unit = input.additionalParameters?.parameters?.find((p) => p.name === "unit")?.value?.[0] ?? "";
  const required = input.minOccurs > 0;
  const id = `input-${name}`;
  const several = schema.type === "array";
  const text = several && !schema.items?.enum ? say("list", { text: input.description }) : input.description;
  const words = text.replace(/\.$/, "");
  const hint = element("span", { class: "soft", id: `${id}-hint` }, [name, unit, bounds(schema)].filter(Boolean).join(" · "));
  const label = element("label", { for: id }, `${words} `, hint);
  const common = { id, name, "aria-describedby": `${id}-hint`, ...(required ? { required: "" } : {}) };

  if (schema.format === SHAPES) {
    return { name, shapes: true, node: element("p", {}, element("b", {}, `${words}: `), say("onmap")), read: () => undefined, write: () => {} };
  }
  if (several && schema.items?.enum) {
    const boxes = schema.items.enum.map((value) => element("input", { type: "checkbox", value }));
    const node = element("fieldset", {}, element("legend", {}, `${words} `, hint),
      ...boxes.map((box) => element("label", { class: "tick" }, box, box.value)));
    const write = (values) => boxes.forEach((box) => (box.checked = (values ?? []).includes(box.value)));
    write(schema.default);
    return { name, node, write, read: () => boxes.filter((box) => box.checked).map((box) => box.value) };
  }
  let control;
  let read = () => (control.value.trim() === "" ? undefined : control.value.trim());
  let write = (value) => (control.value = value ?? "");
  if (schema.enum) {
    control = element("select", common);
    if (!required && schema.default == null) control.append(new Option(say("none"), ""));
    for (const value of schema.enum) control.append(new Option(value, value));
  } else if (schema.type === "boolean") {
    control = element("input", { ...common, type: "checkbox" });
    control.removeAttribute("required");
    [read, write] = [() => control.checked, (value) => (control.checked = Boolean(value))];
    write(schema.default);
    const node = element("div", {}, element("label", { class: "tick", for: id }, control, `${words} `, hint));
    return { name, node, read, write };
  } else if (schema.type === "number" || schema.type === "integer") {
    control = element("input", { ...common, type: "number", step: schema.type === "integer" ? "1" : "any" });
    const limits = { min: schema.minimum ?? schema.exclusiveMinimum, max: schema.maximum ?? schema.exclusiveMaximum };
    for (const [key, value] of Object.entries(limits)) if (value !== undefined) control.setAttribute(key, value);
    read = () => (control.value === "" ? undefined : Number(control.value));
  } else if (several) {
    control = element("input", { ...common, type: "text", autocomplete: "off", spellcheck: "false" });
    const parts = () => control.value.split(",").map((part) => part.trim()).filter(Boolean);
    const numbers = ["number", "integer"].includes(schema.items?.type);
    read = () => (parts().length ? parts().map((part) => (numbers ? Number(part) : part)) : undefined);
    write = (value) => (control.value = Array.isArray(value) ? value.join(", ") : value ? JSON.stringify(value) : "");
    const list = read;
    // What no list can say is written as JSON: bands of classes with their numbers.
    read = () => (control.value.trim().startsWith("{") ? JSON.parse(control.value) : list());
  } else if (schema.type === "string") {
    control = element("input", { ...common, type: "text", autocomplete: "off", spellcheck: "false" });
  } else {
    control = element("textarea", { ...common, rows: "3", spellcheck: "false" });
    read = () => {
      if (control.value.trim() === "") return undefined;
      try {
        return JSON.parse(control.value);
      } catch {
        throw new Error(say("notjson", { name }));
      }
    };
    write = (value) => (control.value = value == null ? "" : JSON.stringify(value));
  }
  write(schema.default);
  return { name, node: element("div", {}, label, control), read, write };
}

// The form of a process; `ofJobs` are the inputs that each job has, and that the page asks for itself.
export function formOf(process, ofJobs, near, further) {
  const fields = Object.entries(process.inputs).filter(([name]) => !ofJobs.has(name)).map(([name, input]) => field(name, input));
  near.replaceChildren(...fields.filter((f) => !LATER.has(f.name)).map((f) => f.node));
  further.replaceChildren(...fields.filter((f) => LATER.has(f.name)).map((f) => f.node));
  return {
    zones: fields.find((f) => f.shapes)?.name ?? null,
    read() {
      const values = fields.map((f) => [f.name, f.read()]);
      return Object.fromEntries(values.filter(([, value]) => value !== undefined));
    },
    write(inputs) {
      for (const f of fields) if (f.name in inputs) f.write(inputs[f.name]);
    },
  };
}
