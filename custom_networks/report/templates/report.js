"use strict";
(function () {
  const table = document.getElementById("images");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const size = 50;
  let shown = rows, page = 0;
  const where = document.getElementById("where");
  const find = document.getElementById("find");

  function draw() {
    const pages = Math.max(1, Math.ceil(shown.length / size));
    page = Math.min(Math.max(page, 0), pages - 1);
    const from = page * size;
    const here = new Set(shown.slice(from, from + size));
    // Rows of other pages are hidden on the screen alone: the printer gets all of them, in this order.
    rows.forEach(function (row) { row.classList.toggle("other-page", !here.has(row)); });
    where.textContent = shown.length
      ? (from + 1) + " to " + Math.min(from + size, shown.length) + " of " + shown.length
      : "none";
    document.getElementById("previous").disabled = page === 0;
    document.getElementById("next").disabled = page === pages - 1;
  }

  function compare(index, direction) {
    return function (a, b) {
      const x = a.cells[index].dataset.sort, y = b.cells[index].dataset.sort;
      if (x === undefined || y === undefined) {
        return direction * a.cells[index].textContent.trim().localeCompare(b.cells[index].textContent.trim(), undefined, { numeric: true });
      }
      if (x === "" || y === "") return (x === "") - (y === "");
      return direction * (Number(x) - Number(y));
    };
  }

  table.tHead.querySelectorAll("button").forEach(function (button) {
    button.addEventListener("click", function () {
      const cell = button.closest("th");
      const ascending = cell.getAttribute("aria-sort") !== "ascending";
      table.tHead.querySelectorAll("th").forEach(function (other) { other.removeAttribute("aria-sort"); });
      cell.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      rows.sort(compare(cell.cellIndex, ascending ? 1 : -1));
      body.append(...rows);
      filter();
    });
  });

  function filter() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = rows.filter(function (row) {
      const text = row.textContent.toLowerCase();
      return words.every(function (word) { return text.includes(word); });
    });
    page = 0;
    draw();
  }

  find.addEventListener("input", filter);
  document.getElementById("previous").addEventListener("click", function () { page -= 1; draw(); });
  document.getElementById("next").addEventListener("click", function () { page += 1; draw(); });
  document.getElementById("tools").hidden = false;
  draw();
})();
