// The examples of a series, and which of them is the next one.

/** Slices, and phases of each, in the order of the series. */
export class Series {
  constructor({ keys, slices, phases }) {
    this.keys = keys;
    const known = slices.every((slice) => slice !== null);
    this.places = keys.map((key, at) => ({
      key,
      slice: known ? slices[at] : at,
      phase: phases[at] ?? 0,
    }));
    this.slices = [...new Set(this.places.map((place) => place.slice))].sort((a, b) => a - b);
    this.phases = new Set(this.places.map((place) => place.phase)).size;
  }

  find(key) {
    return this.places.find((place) => place.key === key);
  }

  /** Number of the slice of an example, among those that there are. */
  number(key) {
    return this.slices.indexOf(this.find(key)?.slice);
  }

  /** The example so many slices on, of the phase that is nearest. */
  bySlice(key, by) {
    return this.atNumber(key, this.number(key) + by);
  }

  /** The example of that slice, of the phase that is nearest. */
  atNumber(key, number) {
    const last = this.slices.length - 1;
    const slice = this.slices[Math.min(Math.max(number, 0), last)];
    const { phase } = this.find(key);
    const there = this.places.filter((place) => place.slice === slice);
    const distance = (place) => Math.abs(place.phase - phase);
    return there.reduce((best, place) => (distance(place) < distance(best) ? place : best)).key;
  }

  /** The example so many phases on, of the same slice; after the last comes the first. */
  byPhase(key, by) {
    const { slice } = this.find(key);
    const there = this.places
      .filter((place) => place.slice === slice)
      .sort((a, b) => a.phase - b.phase);
    const at = there.findIndex((place) => place.key === key);
    return there[(at + by + there.length) % there.length].key;
  }
}
