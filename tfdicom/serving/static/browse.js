// The first page works without this; with it, filters apply at once, and arrow keys
// walk over the pictures.

const form = document.getElementById("search");
form.addEventListener("change", (event) => {
  if (event.target.matches("select")) form.requestSubmit();
});

// Fields that are empty would only make the address long.
form.addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData]) {
    if (!value.trim() || (name === "show" && value === "both")) event.formData.delete(name);
  }
});

const grid = document.getElementById("grid");
const cards = [...grid.querySelectorAll("a")];

function columns() {
  const first = cards[0].offsetTop;
  const count = cards.findIndex((card) => card.offsetTop > first);
  return count < 0 ? cards.length : count;
}

grid.addEventListener("keydown", (event) => {
  const at = cards.indexOf(document.activeElement);
  if (at < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
  const steps = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -columns(),
    ArrowDown: columns(),
    Home: -at,
    End: cards.length - 1 - at,
  };
  const to = at + (steps[event.key] ?? NaN);
  if (!cards[to]) return;
  event.preventDefault();
  cards[to].focus();
});
