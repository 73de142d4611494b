// How an example is looked at, and how an address says it.

/** What holds unless the address says otherwise. */
export function initialView() {
  return {
    center: null,
    width: null,
    image: 1,
    mask: 0.35,
    contour: 1,
    hidden: new Set(),
    zoom: 1,
    column: null, // in the middle of the screen
    row: null,
    smooth: true,
  };
}

const number = (text, low, high) => {
  const value = text === null || text.trim() === "" ? NaN : Number(text);
  return Number.isFinite(value) ? Math.min(Math.max(value, low), high) : null;
};

const pair = (text) => (text ?? "").split(",").map((part) => number(part, -1e9, 1e9));

/** The view that an address's query says; what it gets wrong is as if not given. */
export function readView(query) {
  const view = initialView();
  const [center, width] = pair(query.get("window"));
  if (center !== null && width > 0) Object.assign(view, { center, width });
  for (const name of ["image", "mask", "contour"]) {
    const percent = number(query.get(name), 0, 100);
    if (percent !== null) view[name] = percent / 100;
  }
  view.zoom = number(query.get("zoom"), 0.2, 40) ?? 1;
  const [column, row] = pair(query.get("at"));
  if (column !== null && row != null) Object.assign(view, { column, row });
  view.hidden = new Set(query.getAll("hide"));
  view.smooth = query.get("smooth") !== "0";
  return view;
}

const round = (value) => Number(value.toPrecision(6));

/** The query that says a view; what is as it begins is left out. */
export function writeView(view, { dataset, begins }) {
  const query = new URLSearchParams();
  if (dataset) query.set("dataset", dataset);
  const initial = initialView();
  if (view.center !== begins?.[0] || view.width !== begins?.[1]) {
    query.set("window", `${round(view.center)},${round(view.width)}`);
  }
  for (const name of ["image", "mask", "contour"]) {
    if (view[name] !== initial[name]) query.set(name, Math.round(view[name] * 100));
  }
  if (view.zoom !== 1) query.set("zoom", round(view.zoom));
  if (view.column !== null) query.set("at", `${round(view.column)},${round(view.row)}`);
  for (const name of view.hidden) query.append("hide", name);
  if (!view.smooth) query.set("smooth", "0");
  return query.toString();
}
