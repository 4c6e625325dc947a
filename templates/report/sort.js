// Sorts every table.sortable by the button in a column's head; works on numbers and on words.
(() => {
  const text = (row, column) => {
    const cell = row.cells[column] || row.cells[row.cells.length - 1];
    return cell.dataset.sort === undefined ? cell.textContent.trim() : cell.dataset.sort;
  };
  const number = value => (/^[-+\u2212]?[\d,]*\.?\d+/.test(value) ? parseFloat(value.replace(/,/g, "").replace("\u2212", "-")) : NaN);
  // What is no number, such as a missing value in a column of numbers, comes last.
  const compare = (a, b) => {
    const [x, y] = [number(a), number(b)];
    if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
    return x - y || a.localeCompare(b, "en", { numeric: true });
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const falling = head.getAttribute("aria-sort") === "ascending";
        heads.forEach(other => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows].map(row => [text(row, column), row]);
        const known = rows.filter(([value]) => value !== "");
        known.sort(([a], [b]) => (falling ? compare(b, a) : compare(a, b)));
        table.tBodies[0].append(...known.map(([, row]) => row), ...rows.filter(([value]) => value === "").map(([, row]) => row));
      });
    });
  }
})();
