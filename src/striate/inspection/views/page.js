for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const worth = (row) => row.cells[column].dataset.value;
    const numeric = worth(table.tBodies[0].rows[0] ?? head.parentElement) !== undefined;
    const before = head.ariaSort ?? head.getAttribute("aria-sort");
    // Numbers begin with the largest, words and the order of running with the first.
    const up = before === "none" ? !numeric || column === 0 : before === "descending";
    const order = (one, other) => numeric
      ? worth(one) - worth(other)
      : one.cells[column].textContent.localeCompare(other.cells[column].textContent, "en", { numeric: true });
    const running = (one, other) => one.cells[0].dataset.value - other.cells[0].dataset.value;
    const rows = [...table.tBodies[0].rows].sort(
      (one, other) => (up ? order(one, other) : order(other, one)) || running(one, other));
    heads.forEach((each) => each.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    table.tBodies[0].append(...rows);
  }));
}
