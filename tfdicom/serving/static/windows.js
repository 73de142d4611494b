// Windows of grey: which are offered, and which an example begins with.

const CT = {
  "Soft tissue": [40, 400],
  Lung: [-600, 1500],
  Bone: [480, 2500],
  Brain: [40, 80],
  Liver: [60, 160],
};

const between = (low, high) => [(low + high) / 2, Math.max(high - low, 1e-3)];

/** Windows by name, `[centre, width]`; the first is what an example begins with. */
export function windowsOf(frame) {
  const { image, statistics } = frame.info;
  if (frame.samples > 1) return { "As it is": [127.5, 255] };
  const found = {};
  if (statistics.series) found["Series, 1 to 99 %"] = percentiles(statistics.series);
  if (statistics.image) found["Image, 1 to 99 %"] = percentiles(statistics.image);
  if (image.window) found["Of the file"] = image.window.slice(0, 2);
  if (image.modality === "CT") Object.assign(found, CT);
  found["All values"] = between(...extremes(frame.values));
  return found;
}

const percentiles = ({ percentiles: known }) => between(known["1"], known["99"]);

function extremes(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** A number as it is shown: with as many digits as its size wants. */
export function shown(value) {
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return String(Number(value.toPrecision(size >= 1 ? 4 : 3)));
}
