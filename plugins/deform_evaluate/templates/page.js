// Sorts and filters the strips of pictures by the numbers that each carries.
const [key, way, group] = ["key", "way", "group"].map((id) => document.getElementById(id));
const grid = document.getElementById("grid");
const figures = [...grid.querySelectorAll(".strip")];

function order() {
  const direction = Number(way.value);
  const value = (figure) => JSON.parse(figure.dataset.values)[key.selectedIndex] ?? Infinity;
  const place = direction ? (figure) => direction * value(figure) : (figure) => Number(figure.dataset.item);
  for (const figure of figures) {
    figure.hidden = group.value !== "" && figure.dataset.group !== group.value;
    figure.querySelector("output").textContent = `${key.value} ${Number(value(figure).toPrecision(4))}`;
  }
  grid.append(...figures.toSorted((a, b) => place(a) - place(b)));
}

document.getElementById("order").addEventListener("change", order);
order();
