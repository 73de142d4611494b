// What mouse and keys do on the page of an example.

const WHEEL = 50; // how far a wheel turns for a slice; touchpads send less at a time
const ZOOM = 1.2;
const SCREEN = 400; // dragging so far doubles a window

const tools = [...document.querySelectorAll("input[name=tool]")];
const toolIs = (name) => tools.find((tool) => tool.checked).value === name;

/**
 * Lets mouse and keys change a view.
 *
 * `actions` has `isReady`, `point` (what is under the pointer), `redraw`, `reset`,
 * `setWindow(centre, width)` and `step(kind, by)`.
 */
export function listen(picture, view, actions) {
  const { canvas } = picture;
  for (const tool of tools) {
    tool.addEventListener("change", () => canvas.classList.toggle("pan", toolIs("pan")));
  }
  listenToPointer(picture, view, actions);
  listenToWheel(picture, view, actions);
  listenToKeys(picture, view, actions);
}

function listenToPointer(picture, view, { isReady, point, redraw, setWindow }) {
  const { canvas } = picture;
  let held = null;

  canvas.addEventListener("pointerdown", (event) => {
    if (!isReady()) return;
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    const moves = event.shiftKey || event.button !== 0 || toolIs("pan");
    const { center, width } = view;
    held = { x: event.clientX, y: event.clientY, moves, center, width };
  });
  canvas.addEventListener("pointermove", (event) => {
    point(event);
    if (!held) return;
    const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
    if (held.moves) {
      const { columns, rows } = picture.step(-dx, -dy);
      shift(picture, view, columns, rows);
      Object.assign(held, { x: event.clientX, y: event.clientY });
      redraw();
    } else {
      setWindow(held.center + (dy / SCREEN) * held.width, held.width * 2 ** (dx / SCREEN));
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, () => {
      held = null;
    });
  }
  canvas.addEventListener("pointerleave", () => point(null));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
}

function listenToWheel(picture, view, { isReady, redraw, step }) {
  let turned = 0;
  const turn = (event) => {
    event.preventDefault();
    if (!isReady()) return;
    if (event.ctrlKey) {
      zoom(picture, view, ZOOM ** (-event.deltaY / 100), event);
      redraw();
      return;
    }
    turned += event.deltaMode ? event.deltaY * WHEEL : event.deltaY;
    if (Math.abs(turned) < WHEEL) return;
    step("slice", Math.sign(turned));
    turned = 0;
  };
  picture.canvas.addEventListener("wheel", turn, { passive: false });
}

/** Moves the middle of the screen over the image. */
function shift(picture, view, columns, rows) {
  const { frame } = picture;
  view.column = (view.column ?? frame.columns / 2) + columns;
  view.row = (view.row ?? frame.rows / 2) + rows;
}

/** Zooms; what is under the pointer, if there is one, stays there. */
function zoom(picture, view, factor, event) {
  const before = event && picture.at(event.clientX, event.clientY);
  view.zoom = Math.min(Math.max(view.zoom * factor, 0.2), 40);
  picture.draw(view);
  if (!before) return;
  const after = picture.at(event.clientX, event.clientY);
  shift(picture, view, before.column - after.column, before.row - after.row);
}

function listenToKeys(picture, view, { isReady, redraw, reset, setWindow, step }) {
  const zoomed = (factor) => {
    zoom(picture, view, factor);
    redraw();
  };
  const keys = {
    ArrowLeft: () => step("slice", -1),
    ArrowRight: () => step("slice", 1),
    ArrowUp: () => step("phase", 1),
    ArrowDown: () => step("phase", -1),
    "+": () => zoomed(ZOOM),
    "=": () => zoomed(ZOOM),
    "-": () => zoomed(1 / ZOOM),
    0: () => {
      Object.assign(view, { zoom: 1, column: null, row: null });
      redraw();
    },
    r: reset,
  };
  const withShift = {
    ArrowLeft: () => setWindow(view.center, view.width / 1.1),
    ArrowRight: () => setWindow(view.center, view.width * 1.1),
    ArrowUp: () => setWindow(view.center - view.width / 20, view.width),
    ArrowDown: () => setWindow(view.center + view.width / 20, view.width),
  };
  addEventListener("keydown", (event) => {
    if (!isReady() || event.ctrlKey || event.altKey || event.metaKey) return;
    // Fields and lists have their own use for arrows and letters.
    if (event.target.closest("input:not([type=checkbox]), select, textarea")) return;
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const action = (event.shiftKey && withShift[name]) || keys[name];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
