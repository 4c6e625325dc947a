// Sorts every table.sortable by the button in a column's head; works on numbers and on words.
(() => {
  // A row that says why it has no values has one wide cell for them.
  const text = (row, column) => (row.cells[column] || row.cells[row.cells.length - 1]).textContent.trim();
  // "1,024", "91.05 %" and "0.864 of 0.889" are numbers, "s16f12" and "2*x" are not.
  const number = value => (/^[-+]?[\d,]*\.?\d+(e[-+]?\d+)?( .*)?$/i.test(value) ? parseFloat(value.replace(/,/g, "")) : NaN);
  const compare = (a, b) => number(a) - number(b) || a.localeCompare(b, "en", { numeric: true });
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
        const numbers = rows.some(([value]) => !Number.isNaN(number(value)));
        // What has no value, or no number in a column of numbers, comes last either way.
        const known = rows.filter(([value]) => (numbers ? !Number.isNaN(number(value)) : value !== ""));
        const others = rows.filter(pair => !known.includes(pair));
        known.sort(([a], [b]) => (falling ? compare(b, a) : compare(a, b)));
        table.tBodies[0].append(...[...known, ...others].map(([, row]) => row));
      });
    });
  }
})();
