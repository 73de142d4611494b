// What the record says, beside the image.

/** An element with properties and children. */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A box in a colour; style attributes are forbidden, properties are not. */
export function box(color) {
  const made = element("span", { className: "box", ariaHidden: "true" });
  made.style.setProperty("--color", color);
  return made;
}

const list = (values, digits = 2) =>
  values.map((value) => Number(value.toFixed(digits))).join(", ");

const words = (name) => {
  const text = name.replaceAll("_", " ");
  return text[0].toUpperCase() + text.slice(1);
};

function facts(pairs) {
  const made = element("dl", { className: "facts" });
  for (const [name, value] of pairs) {
    if (value === null || value === undefined || value === "") continue;
    made.append(element("dt", {}, name), element("dd", {}, value));
  }
  return made;
}

const section = (heading, content) =>
  content.children.length ? [element("h2", {}, heading), content] : [];

/** All that is said of an example, as elements. */
export function sideOf(info, { root, dataset }) {
  const search = (query) => {
    const given = dataset ? { ...query, dataset } : query;
    return `${root}/?${new URLSearchParams(given)}`;
  };
  return [
    ...section("Classes", classTable(info.classes)),
    ...section("Findings", findings(info.findings)),
    ...section("Place", place(info, search)),
    ...section("Image", image(info)),
    ...section("Geometry", geometry(info.geometry)),
    ...section("Labels", facts(Object.entries(info.labels))),
    ...section("Patient", facts(pairsOf(info.patient_facts))),
    ...section("Rules", facts(pairsOf(info.rules))),
  ];
}

function pairsOf(values) {
  return Object.entries(values).map(([name, value]) => [
    words(name),
    Array.isArray(value) ? list(value, 3) : String(value),
  ]);
}

function classTable(classes) {
  const made = facts([]);
  for (const one of classes) {
    let text = "not annotated";
    if (one.annotated) {
      text = `${one.pixels.toLocaleString("en")} px`;
      if (one.area_mm2) text += `, ${Math.round(one.area_mm2).toLocaleString("en")} mm²`;
    }
    made.append(element("dt", {}, box(one.color), ` ${one.name}`), element("dd", {}, text));
  }
  return made;
}

function findings(found) {
  return facts(found.map(({ code, sentence }) => [code, sentence || code]));
}

const short = (text) => (text.length > 16 ? `${text.slice(0, 16)}…` : text);

function place(info, search) {
  const link = (href, text) => element("a", { href, title: text }, short(text));
  return facts([
    ["Split", link(search({ split: info.split }), info.split)],
    ["Patient", link(search({ patient: info.patient }), info.patient)],
    ["Series", link(search({ series: info.series }), info.series)],
    ["Study", short(info.study)],
    ["Key", element("code", {}, info.key)],
    ["Frame", info.frame_number > 1 ? String(info.frame_number) : null],
  ]);
}

function image(info) {
  const { image: known, statistics } = info;
  const figures = statistics.image;
  const unit = known.units ? ` ${known.units}` : "";
  return facts([
    ["Modality", known.modality],
    ["Size", `${known.shape.join(" × ")}, ${known.dtype}`],
    ["Scanner", [known.manufacturer, known.model].filter(Boolean).join(" ")],
    ["Field", known.field_strength ? `${known.field_strength} T` : null],
    ["Rescale", `× ${known.rescale_slope} + ${known.rescale_intercept}${unit}`],
    ["Values", figures && `${figures.minimum} to ${figures.maximum}${unit}`],
    ["Mean", figures && `${list([figures.mean])} ± ${list([figures.deviation])}${unit}`],
  ]);
}

function geometry(known) {
  const millimetres = (values, digits = 3) => values && `${list(values, digits)} mm`;
  const of = (index, count) =>
    index === undefined ? null : `${index}${count ? ` (0 to ${count - 1})` : ""}`;
  return facts([
    ["Pixel", millimetres(known.pixel_spacing)],
    ["Slice step", known.slice_spacing && millimetres([known.slice_spacing])],
    ["Slice", of(known.slice_index, known.slice_count)],
    ["Phase", of(known.phase_index, known.phase_count)],
    ["Trigger", known.trigger_time === undefined ? null : `${list([known.trigger_time], 1)} ms`],
    ["Position", millimetres(known.position, 1)],
    ["Row, column", known.orientation && list(known.orientation, 3)],
  ]);
}
