// What the server says of examples, as arrays; the last few are kept.

import { address, ask } from "./requests.js";

const KEPT = 32;
const KINDS = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  float32: Float32Array,
  float64: Float64Array,
};

/** Examples by key: `{info, rows, columns, samples, values, masks}`. */
export class Frames {
  constructor(root, dataset) {
    this.root = root;
    this.dataset = dataset;
    this.known = new Map();
  }

  /** An example; values are modality values, masks are 0 or 1, plane by plane. */
  get(key) {
    const found = this.known.get(key) ?? this.#read(key);
    this.known.delete(key);
    this.known.set(key, found);
    found.catch(() => this.known.delete(key));
    for (const old of this.known.keys()) {
      if (this.known.size <= KEPT) break;
      this.known.delete(old);
    }
    return found;
  }

  /** JSON of a path below `/v1`. */
  async json(path) {
    return (await ask(address(this.root, path, { dataset: this.dataset }))).json();
  }

  async #read(key) {
    const path = `/v1/examples/${key}`;
    const of = (part, query) =>
      ask(address(this.root, `${path}/${part}`, { ...query, dataset: this.dataset }));
    const [info, pixels, planes] = await Promise.all([
      this.json(path),
      of("pixels", { form: "stored" }),
      of("masks", { form: "packed" }),
    ]);
    const [rows, columns, samples] = numbers(pixels);
    return {
      info,
      rows,
      columns,
      samples,
      values: await modalityValues(pixels),
      masks: await unpacked(planes),
    };
  }
}

const numbers = (response) => response.headers.get("X-Tfdicom-Shape").split(",").map(Number);

async function modalityValues(response) {
  const Kind = KINDS[response.headers.get("X-Tfdicom-Dtype")];
  const slope = Number(response.headers.get("X-Tfdicom-Slope"));
  const intercept = Number(response.headers.get("X-Tfdicom-Intercept"));
  const stored = new Kind(await response.arrayBuffer());
  const values = new Float32Array(stored.length);
  for (let at = 0; at < stored.length; at += 1) values[at] = stored[at] * slope + intercept;
  return values;
}

async function unpacked(response) {
  const [classes, rows, columns] = numbers(response);
  const bytes = new Uint8Array(await response.arrayBuffer());
  const size = rows * columns;
  const length = Math.ceil(size / 8); // each class begins with a new byte
  return Array.from({ length: classes }, (_, number) => {
    const plane = new Uint8Array(size);
    const start = number * length;
    for (let at = 0; at < size; at += 1) {
      plane[at] = (bytes[start + (at >> 3)] >> (at & 7)) & 1;
    }
    return plane;
  });
}
