// Draws an example on a canvas: grey values in a window, masks, contours.

const LINE = 1.6; // screen pixels

/** The canvas, and where on it the image lies. */
export class Picture {
  constructor(canvas) {
    this.canvas = canvas;
    this.grey = document.createElement("canvas");
    this.tint = document.createElement("canvas");
    this.frame = null;
  }

  /** Takes an example; `draw` shows it. */
  take(frame) {
    this.frame = frame;
    for (const layer of [this.grey, this.tint]) {
      layer.width = frame.columns;
      layer.height = frame.rows;
    }
    this.drawnWindow = this.drawnMasks = null;
    const [rows, columns] = frame.info.geometry.pixel_spacing ?? [1, 1];
    this.aspect = columns / rows; // pixels need not be square
  }

  /** Draws the example as a view says. */
  draw(view) {
    const { canvas, frame } = this;
    if (!frame) return;
    this.#fit();
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    this.place = this.#placed(view);
    const { x, y, across, down } = this.place;
    const box = [x, y, frame.columns * across, frame.rows * down];
    context.imageSmoothingEnabled = view.smooth;
    context.imageSmoothingQuality = "high";
    context.globalAlpha = view.image;
    context.drawImage(this.#greyLayer(view), ...box);
    context.globalAlpha = 1;
    context.imageSmoothingEnabled = false; // a mask is its pixels
    if (view.mask > 0) context.drawImage(this.#maskLayer(view), ...box);
    context.globalAlpha = view.contour;
    if (view.contour > 0) this.#contours(context, view);
    context.globalAlpha = 1;
    canvas.dataset.shown = frame.info.key;
  }

  /** Column and row under a place on the screen; whole numbers are pixels' centres. */
  at(clientX, clientY) {
    const box = this.canvas.getBoundingClientRect();
    const scale = this.canvas.width / box.width;
    const { x, y, across, down } = this.place;
    return {
      column: ((clientX - box.left) * scale - x) / across - 0.5,
      row: ((clientY - box.top) * scale - y) / down - 0.5,
    };
  }

  /** How many pixels of the image a step on the screen is. */
  step(dx, dy) {
    const scale = devicePixelRatio;
    return { columns: (dx * scale) / this.place.across, rows: (dy * scale) / this.place.down };
  }

  #fit() {
    const { canvas } = this;
    const width = Math.max(Math.round(canvas.clientWidth * devicePixelRatio), 1);
    const height = Math.max(Math.round(canvas.clientHeight * devicePixelRatio), 1);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
  }

  #placed(view) {
    const { canvas, frame, aspect } = this;
    const whole = Math.min(
      canvas.width / (frame.columns * aspect),
      canvas.height / frame.rows,
    );
    const down = whole * view.zoom;
    const across = down * aspect;
    const column = view.column ?? frame.columns / 2;
    const row = view.row ?? frame.rows / 2;
    return { x: canvas.width / 2 - column * across, y: canvas.height / 2 - row * down, across, down };
  }

  #greyLayer({ center, width }) {
    const wanted = `${center},${width}`;
    if (this.drawnWindow === wanted) return this.grey;
    this.drawnWindow = wanted;
    const { values, rows, columns, samples, info } = this.frame;
    const low = center - width / 2;
    const scale = 255 / Math.max(width, 1e-6);
    const inverted = info.image.photometric_interpretation === "MONOCHROME1";
    const grey = new Uint8ClampedArray(values.length); // clamps, and rounds
    for (let at = 0; at < values.length; at += 1) grey[at] = (values[at] - low) * scale;
    const picture = new ImageData(columns, rows);
    const second = samples > 2 ? 1 : 0;
    for (let at = 0, from = 0, to = 0; at < rows * columns; at += 1, from += samples, to += 4) {
      picture.data[to] = grey[from];
      picture.data[to + 1] = grey[from + second];
      picture.data[to + 2] = grey[from + 2 * second];
      picture.data[to + 3] = 255;
    }
    if (inverted) {
      for (let at = 0; at < picture.data.length; at += 1) {
        if (at % 4 !== 3) picture.data[at] = 255 - picture.data[at];
      }
    }
    this.grey.getContext("2d").putImageData(picture, 0, 0);
    return this.grey;
  }

  #maskLayer({ mask, hidden }) {
    const wanted = `${mask} ${[...hidden].join("\n")}`;
    if (this.drawnMasks === wanted) return this.tint;
    this.drawnMasks = wanted;
    const { info, masks, rows, columns } = this.frame;
    const picture = new ImageData(columns, rows);
    const drawn = info.classes.map((one, number) => ({ ...one, plane: masks[number] }));
    drawn.sort((one, other) => other.pixels - one.pixels); // small ones lie on large ones
    for (const { name, pixels, color, plane } of drawn) {
      if (pixels && !hidden.has(name)) tint(picture.data, plane, channels(color), mask);
    }
    this.tint.getContext("2d").putImageData(picture, 0, 0);
    return this.tint;
  }

  #contours(context, { hidden }) {
    const { x, y, across, down } = this.place;
    const classes = new Map(this.frame.info.classes.map((one) => [one.expression, one.name]));
    for (const { structure, color, points } of this.frame.info.contours) {
      if (hidden.has(classes.get(structure) ?? structure)) continue;
      context.beginPath();
      for (const [column, row] of points) {
        context.lineTo(x + (column + 0.5) * across, y + (row + 0.5) * down);
      }
      context.closePath();
      context.lineJoin = "round";
      context.strokeStyle = "rgb(0 0 0 / 60%)"; // so that it is seen on white
      context.lineWidth = 2.2 * LINE * devicePixelRatio;
      context.stroke();
      context.strokeStyle = color;
      context.lineWidth = LINE * devicePixelRatio;
      context.stroke();
    }
  }
}

const channels = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));

/** Lays a colour over a picture where a mask is. */
function tint(data, mask, [red, green, blue], opacity) {
  for (let at = 0, to = 0; at < mask.length; at += 1, to += 4) {
    if (!mask[at]) continue;
    const under = (data[to + 3] / 255) * (1 - opacity);
    const alpha = under + opacity;
    data[to] = (data[to] * under + red * opacity) / alpha;
    data[to + 1] = (data[to + 1] * under + green * opacity) / alpha;
    data[to + 2] = (data[to + 2] * under + blue * opacity) / alpha;
    data[to + 3] = alpha * 255;
  }
}
