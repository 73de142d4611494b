// The page of an example: what mouse, keys and fields do.

import { box, element, sideOf } from "./facts.js";
import { Frames } from "./frames.js";
import { listen } from "./gestures.js";
import { Picture } from "./picture.js";
import { Series } from "./series.js";
import { readView, writeView } from "./view.js";
import { shown, windowsOf } from "./windows.js";

const $ = (id) => document.getElementById(id);
const page = $("viewer");
const { root, dataset } = page.dataset;
const canvas = $("canvas");
const picture = new Picture(canvas);
const frames = new Frames(root, dataset);
const view = readView(new URLSearchParams(location.search));

let key = page.dataset.key;
let frame = null;
let series = null;
let windows = {};
let begins = null;
let drawing = 0;
let saving = 0;

// Drawing ---------------------------------------------------------------------------

function redraw() {
  if (!frame) return;
  cancelAnimationFrame(drawing);
  drawing = requestAnimationFrame(() => {
    picture.draw(view);
    tellValue();
  });
  const unit = frame.info.image.units ?? "";
  $("window-shown").textContent = `C ${shown(view.center)} W ${shown(view.width)} ${unit}`;
  clearTimeout(saving); // browsers allow so many changes of an address
  saving = setTimeout(saveAddress, 150);
}

const here = () => {
  const query = writeView(view, { dataset, begins });
  return `${root}/examples/${key}${query ? `?${query}` : ""}`;
};

const saveAddress = () => history.replaceState(null, "", here());

function setWindow(center, width) {
  view.center = center;
  view.width = Math.max(width, 1e-3);
  $("center").value = shown(view.center);
  $("width").value = shown(view.width);
  const fits = ([, [c, w]]) => c === view.center && w === view.width;
  $("preset").value = Object.entries(windows).find(fits)?.[0] ?? "";
  redraw();
}

// Showing an example ----------------------------------------------------------------

async function show(wanted) {
  key = wanted;
  page.setAttribute("aria-busy", "true");
  try {
    const found = await frames.get(wanted);
    if (key !== wanted) return; // somebody has gone on
    $("problem").hidden = true;
    take(found);
    await learnSeries(found.info.series);
    tellPlace();
  } catch (error) {
    if (key === wanted) complain(error);
  } finally {
    if (key === wanted) page.removeAttribute("aria-busy");
  }
}

function complain(error) {
  $("problem").textContent = error.message;
  $("problem").hidden = false;
}

function take(found) {
  frame = found;
  picture.take(found);
  windows = windowsOf(found);
  [begins] = Object.values(windows);
  const options = Object.keys(windows).map((name) => element("option", {}, name));
  $("preset").replaceChildren(element("option", { value: "" }, "own"), ...options);
  listClasses();
  tellFacts();
  tellPlace();
  setWindow(...(view.center === null ? begins : [view.center, view.width]));
  tellValue();
}

function tellFacts() {
  const { info } = frame;
  $("facts").replaceChildren(...sideOf(info, { root, dataset }));
  for (const one of document.querySelectorAll(".unit")) {
    one.textContent = info.image.units ?? "";
  }
  $("title").querySelector("code").textContent = info.key.slice(0, 8);
  document.title = `Example ${info.key.slice(0, 8)} · tfdicom`;
  const query = dataset ? `?${new URLSearchParams({ dataset })}` : "";
  $("augmented").href = `${root}/examples/${info.key}/augmented${query}`;
  $("history-lines").replaceChildren();
  if ($("history").open) tellHistory();
}

async function learnSeries(name) {
  if (series?.find(key)) return;
  series = new Series(await frames.json(`/v1/series/${encodeURIComponent(name)}`));
}

function tellPlace() {
  const { info } = frame;
  const { slice_index: slice, phase_index: phase } = info.geometry;
  const parts = [slice === undefined ? "" : `slice ${slice}`, phase === undefined ? "" : `phase ${phase}`];
  if (series?.find(key)) {
    const number = series.number(key);
    parts.push(`${number + 1} of ${series.slices.length} slices here`);
    $("slice").max = series.slices.length - 1;
    $("slice").value = number;
    $("phases").hidden = series.phases < 2;
    prefetch();
  }
  const where = parts.filter(Boolean).join(", ");
  $("where").textContent = where;
  const seen = info.classes.filter((one) => one.pixels).map((one) => one.name);
  canvas.ariaLabel = `${info.image.modality} image, ${where}; shows ${seen.join(", ") || "no class"}`;
}

function prefetch() {
  for (const by of [1, -1]) frames.get(series.bySlice(key, by)).catch(() => {});
}

function step(kind, by) {
  if (!series?.find(key)) return;
  const phases = kind === "phase" && series.phases > 1;
  const next = phases ? series.byPhase(key, by) : series.bySlice(key, by);
  if (next !== key) show(next);
}

// Fields ----------------------------------------------------------------------------

function listClasses() {
  const { classes, contours } = frame.info;
  const known = new Set(classes.map((one) => one.expression));
  const others = new Map(
    contours.filter((one) => !known.has(one.structure)).map((one) => [one.structure, one.color]),
  );
  const toggles = [...classes.map((one) => [one.name, one.color]), ...others];
  const focused = document.activeElement?.value;
  const labels = toggles.map(([name, color]) => {
    const field = element("input", { type: "checkbox", value: name, checked: !view.hidden.has(name) });
    return element("label", {}, field, box(color), name + (others.has(name) ? " (contour)" : ""));
  });
  $("classes").replaceChildren(...(labels.length ? labels : ["none"]));
  [...$("classes").querySelectorAll("input")].find((one) => one.value === focused)?.focus();
}

$("classes").addEventListener("change", ({ target }) => {
  if (target.checked) view.hidden.delete(target.value);
  else view.hidden.add(target.value);
  redraw();
});

for (const name of ["image", "mask", "contour"]) {
  $(name).addEventListener("input", () => {
    view[name] = Number($(name).value) / 100;
    tellOpacity();
    redraw();
  });
}

function tellOpacity() {
  for (const name of ["image", "mask", "contour"]) {
    const percent = Math.round(view[name] * 100);
    $(name).value = percent;
    document.querySelector(`output[for=${name}]`).textContent = `${percent} %`;
  }
}

for (const id of ["center", "width"]) {
  $(id).addEventListener("change", () => {
    const [center, width] = [Number($("center").value), Number($("width").value)];
    if (Number.isFinite(center) && width > 0) setWindow(center, width);
  });
}
$("preset").addEventListener("change", () => {
  const chosen = windows[$("preset").value];
  if (chosen) setWindow(...chosen);
});
$("smooth").addEventListener("change", () => {
  view.smooth = $("smooth").checked;
  redraw();
});
$("slice").addEventListener("input", () => {
  if (series?.find(key)) show(series.atNumber(key, Number($("slice").value)));
});
for (const button of document.querySelectorAll("[data-step]")) {
  button.addEventListener("click", () => step(button.dataset.step, Number(button.dataset.by)));
}
$("reset").addEventListener("click", () => frame && reset());

function reset() {
  Object.assign(view, readView(new URLSearchParams()));
  $("smooth").checked = view.smooth;
  tellOpacity();
  listClasses();
  setWindow(...begins);
}

$("download").addEventListener("click", () => {
  picture.draw(view);
  canvas.toBlob((blob) => {
    const href = URL.createObjectURL(blob);
    element("a", { href, download: `tfdicom-${key.slice(0, 8)}.png` }).click();
    URL.revokeObjectURL(href);
  });
});

$("copy").addEventListener("click", async () => {
  saveAddress();
  try {
    await navigator.clipboard.writeText(location.href);
    $("where").textContent = "The link is in the clipboard";
  } catch {
    $("where").textContent = "The address of this page is the link";
  }
});

$("history").addEventListener("toggle", () => {
  if ($("history").open) tellHistory();
});

async function tellHistory() {
  const wanted = key;
  try {
    const { lines } = await frames.json(`/v1/examples/${wanted}/history`);
    if (key !== wanted) return;
    const list = element("dl", { className: "facts" });
    for (const [topic, text] of lines) list.append(element("dt", {}, topic), element("dd", {}, text));
    $("history-lines").replaceChildren(list);
  } catch (error) {
    $("history-lines").replaceChildren(element("p", { className: "problem" }, error.message));
  }
}

// The value under the pointer -------------------------------------------------------

let pointer = null;

function tellValue(event = pointer) {
  pointer = event;
  $("value").textContent = pointer && picture.place ? valueUnder(pointer) : "";
}

function valueUnder({ clientX, clientY }) {
  const at = picture.at(clientX, clientY);
  const [column, row] = [Math.round(at.column), Math.round(at.row)];
  const { info, columns, rows, samples, values, masks } = frame;
  if (column < 0 || row < 0 || column >= columns || row >= rows) return "";
  const place = row * columns + column;
  const numbers = values.subarray(place * samples, (place + 1) * samples);
  const unit = info.image.units ? ` ${info.image.units}` : "";
  const classes = info.classes.filter((_, number) => masks[number][place]);
  return [
    `column ${column}, row ${row}: ${[...numbers].map(shown).join(", ")}${unit}`,
    ...classes.map((one) => one.name),
  ].join("\n");
}

listen(picture, view, {
  isReady: () => frame !== null,
  point: tellValue,
  redraw,
  reset,
  setWindow,
  step,
});
new ResizeObserver(() => picture.draw(view)).observe(canvas);
$("smooth").checked = view.smooth;
tellOpacity();
show(key);
