// The commands that download products, whole or in part: each name is quoted, whatever a catalogue has put into it.
export const quoted = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;

const BANDS = /^[\w.-]+(,[\w.-]+)*$/;

// The same for a notebook that downloads.
export function partsOf({ bands = "", box = null } = {}) {
  const names = bands.replaceAll(/\s/g, "");
  return { ...(BANDS.test(names) ? { bands: names.split(",") } : {}), ...(box ? { bbox: box } : {}) };
}

// `bands` are names with commas between them, `box` is west, south, east, north; null: all of it.
export function script(items, { bands = "", box = null } = {}) {
  const names = bands.replaceAll(/\s/g, "");
  const parts = [...(BANDS.test(names) ? [`--bands ${names}`] : []), ...(box ? [`--bbox=${box.map(Number).join(",")}`] : [])];
  const collections = [...new Set(items.map((one) => one.collection))];
  const ids = items.map((one) => `  --id=${quoted(one.id)} \\`);
  return [
    "#!/bin/sh",
    "set -eu",
    "geodes-lab search --all-versions --json \\",
    ...ids,
    `  -- ${collections.map(quoted).join(" ")} > found.json`,
    `geodes-lab download found.json --to products ${parts.join(" ")}`.trimEnd(),
    "",
  ].join("\n");
}
