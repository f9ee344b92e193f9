// A click on the head of a column sorts the table by it: first the largest numbers, or the names from a to z.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = table.querySelectorAll("thead th");
  for (const head of heads) {
    const column = head.cellIndex;
    const number = row => row.cells[column].dataset.value;
    const text = row => row.cells[column].textContent;
    const sort = () => {
      const numbers = [...body.rows].some(row => number(row) !== undefined);
      const [first, second] = numbers ? ["descending", "ascending"] : ["ascending", "descending"];
      const order = head.getAttribute("aria-sort") === first ? second : first;
      const rows = [...body.rows].sort((a, b) => numbers ? number(a) - number(b)
        : text(a).localeCompare(text(b), undefined, {numeric: true}));
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      body.append(...(order === "descending" ? rows.reverse() : rows));
    };
    head.tabIndex = 0;
    head.addEventListener("click", sort);
    head.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
  }
}
